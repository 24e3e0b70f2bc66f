import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { local } from '../src/drives/local/drive.ts';
import { Account } from '../src/storage/entities/account.ts';
import { DeviceLink } from '../src/storage/entities/linking.ts';
import { AuditRecord } from '../src/storage/entities/operations.ts';
import { startTestApp, type TestApp } from './support/app.ts';
import { PASSWORD, POLL_INTERVAL_MS, startLinkableCloud } from './support/linkable-drive.ts';
import { ManualClock } from './support/manual-clock.ts';
import { registerUser } from './support/people.ts';
import { temporaryFolder } from './support/process.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const newKey = (id: string): string => `${id}:${randomBytes(32).toString('base64')}`;

const LINK = `mutation ($values: [SettingValueInput!]!) {
  linkWithCredentials(input: { provider: BAIDU, values: $values }) { ... on LinkWithCredentialsPayload { account { id } } } }`;
const START = `mutation {
  startDeviceLink(input: { provider: BAIDU }) { ... on StartDeviceLinkPayload { deviceLink { id } } }
  startAuthorizationLink(input: { provider: BAIDU }) { ... on StartAuthorizationLinkPayload { state } } }`;
const ROTATE = `mutation ($dryRun: Boolean) { rotateVault(input: { dryRun: $dryRun }) {
  ... on RotateVaultPayload { rotated unreadable } ... on UserError { code } } }`;
const LIST = 'query ($id: ID!) { node(id: $id) { ... on CloudAccount { root { children { nodes { name } } } } } }';

describe('a rotation of the vault', { timeout: 60_000 }, () => {
  it('brings all that is sealed to the new key, by the API and by the command, and the old key can go', async (t) => {
    const clock = new ManualClock();
    const cloud = await startLinkableCloud();
    t.after(() => cloud.close());
    const dataDir = await temporaryFolder(t);
    const [first, second, third] = [newKey('k1'), newKey('k2'), newKey('k3')];
    const run = async <Result>(keys: readonly string[], work: (app: TestApp) => Promise<Result>): Promise<Result> => {
      const settings = { VAULT_KEYS: keys.join(',') };
      const app = await startTestApp({ drives: [local, cloud.definition], clock, dataDir, settings });
      try {
        return await work(app);
      } finally {
        await app.close();
      }
    };
    const command = (keys: readonly string[]) =>
      spawnSync(process.execPath, [MAIN, 'vault:rotate'], {
        env: { PATH: process.env.PATH, DATA_DIR: dataDir, VAULT_KEYS: keys.join(',') },
        encoding: 'utf8',
      });

    const { admin, user, accountId, state } = await run([first], async (app) => {
      const admin = await registerUser(app);
      const user = await registerUser(app);
      const values = Object.entries({ username: 'ada', password: PASSWORD }).map(([name, value]) => ({ name, value }));
      const linked = await app.graphql(LINK, { values }, user.token);
      const started = await app.graphql(START, {}, user.token);
      return {
        admin,
        user,
        accountId: linked.data.linkWithCredentials.account.id,
        state: started.data.startAuthorizationLink.state,
      };
    });

    await run([second, first], async (app) => {
      const rotate = async (who: typeof admin, dryRun = false) =>
        (await app.graphql(ROTATE, { dryRun }, who.token)).data?.rotateVault;
      assert.equal((await rotate(user)).code, 'PERMISSION_DENIED');
      assert.deepEqual(await rotate(admin, true), { rotated: 3, unreadable: 0 });
      assert.deepEqual(await rotate(admin), { rotated: 3, unreadable: 0 });
      assert.deepEqual(await rotate(admin), { rotated: 0, unreadable: 0 });
      assert.equal(await app.app.storage.fork().count(AuditRecord, { action: 'vault.rotate' }), 2);
    });

    const { status, stdout } = command([third, second]);
    assert.equal(
      stdout,
      '3 sealed values were brought to the key “k3”.\nThe other keys can be taken out of VAULT_KEYS now.\n',
    );
    assert.equal(status, 0);

    await run([third], async (app) => {
      const listed = await app.graphql(LIST, { id: accountId }, user.token);
      assert.equal(listed.data.node.root.children.nodes.length, 2);
      const code = cloud.issueCode({ id: 'eve', name: 'Eve' });
      assert.equal((await fetch(`${app.url}/link/callback?${new URLSearchParams({ state, code })}`)).status, 200);
      const [flow] = cloud.devices;
      assert.ok(flow);
      flow.answer = { outcome: 'APPROVED', person: { id: 'bob', name: 'Bob' } };
      clock.advance(POLL_INTERVAL_MS);
      await app.app.services.deviceLinks.look();
      assert.equal((await app.app.storage.fork().findOneOrFail(DeviceLink, { userId: user.userId })).state, 'APPROVED');
    });

    // Without the key: everything else works, and whoever uses the account is told what to do.
    await run([first], async (app) => {
      const { errors } = await app.graphql(LIST, { id: accountId }, user.token);
      assert.equal(errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
      const told = app.logLines.find((line) => line.includes('credentials of an account cannot be opened'));
      assert.match(told ?? '', /needs the key “k3”/);
      const { status: accountStatus } = await app.app.storage.fork().findOneOrFail(Account, { label: 'ada' });
      assert.equal(accountStatus, 'ACTIVE', 'it is well again as soon as the key is back');
    });
    const left = command([first]);
    assert.equal(left.status, 1);
    assert.match(left.stderr, /^3 cannot be opened. Add the key/);
  });

  it('goes on behind a value that cannot be opened', async (t) => {
    const cloud = await startLinkableCloud();
    t.after(() => cloud.close());
    const app = await startTestApp({ drives: [local, cloud.definition] });
    t.after(() => app.close());
    const admin = await registerUser(app);
    const em = app.app.storage.fork();
    const now = new Date();
    for (const id of ['a', 'b']) {
      const row = { ownerId: admin.userId, provider: 'BAIDU', label: id, shared: false, status: 'ACTIVE' as const };
      await em.insert(Account, {
        ...{ id, ...row, settings: {}, sealedCredentials: 'v1.gone.AAAA', createdAt: now, updatedAt: now },
      });
    }
    const { data } = await app.graphql(ROTATE, {}, admin.token);
    assert.deepEqual(data.rotateVault, { rotated: 0, unreadable: 2 });
  });

  it('says what to do when the settings are wrong', async (t) => {
    const dataDir = await temporaryFolder(t);
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'vault:rotate'], {
      env: { PATH: process.env.PATH, DATA_DIR: dataDir, NODE_ENV: 'production' },
      encoding: 'utf8',
    });
    assert.equal(status, 1);
    assert.match(stderr, /^VAULT_KEYS is not set\. Make a key: /);
  });
});
