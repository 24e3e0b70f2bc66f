import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { Account } from '../../src/storage/entities/account.ts';
import { DeviceLink } from '../../src/storage/entities/linking.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import {
  DEVICE_LIFE_MS,
  type DeviceFlow,
  type LinkableCloud,
  PASSWORD,
  POLL_INTERVAL_MS,
  startLinkableCloud,
} from '../support/linkable-drive.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { createApiKey, type Person, registerUser } from '../support/people.ts';
import { createTestDatabase, skipReason } from '../support/services.ts';
import { openSse } from '../support/transports.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const ACCOUNT = 'account { id label status shared provider credentials { expiresAt refreshedAt masked } }';
const ERROR = `... on UserError { code message retryable } ... on InvalidInputError { issues { path message } }`;
const DEVICE = `id provider state userCode verificationUrl qrCodeDataUri expiresAt ${ACCOUNT}`;
const MUTATIONS = {
  startDeviceLink: `deviceLink { ${DEVICE} }`,
  startAuthorizationLink: 'authorizationUrl state',
  completeAuthorizationLink: ACCOUNT,
  linkWithCredentials: ACCOUNT,
  upsertAccountTokens: ACCOUNT,
  unlinkAccount: 'accountId',
  updateAccount: ACCOUNT,
} as const;

const ada = { id: 'ada-at-the-cloud', name: 'Ada' };
const noPostgres = await skipReason('PostgreSQL');
const bob = { id: 'bob-at-the-cloud', name: 'Bob' };

describe('linking', { timeout: 120_000 }, () => {
  const clock = new ManualClock();
  let cloud: LinkableCloud;
  let app: TestApp;
  let admin: Person;
  let person: Person;

  before(async () => {
    cloud = await startLinkableCloud();
    app = await startTestApp({ drives: [local, cloud.definition], clock });
    admin = await registerUser(app);
  });
  beforeEach(async () => {
    person = await registerUser(app);
  });
  after(async () => {
    await app.close();
    await cloud.close();
  });

  /** The member of a mutation's union; of a top-level error, its code. */
  async function change(mutation: keyof typeof MUTATIONS, input: object, who: string = person.token): Promise<Answer> {
    const type = `${mutation[0]?.toUpperCase()}${mutation.slice(1)}`;
    const answer = await app.graphql(
      `mutation ($input: ${type}Input!) { result: ${mutation}(input: $input) { __typename ... on ${type}Payload { ${MUTATIONS[mutation]} } ${ERROR} } }`,
      { input },
      who,
    );
    return answer.data?.result ?? { code: answer.errors?.[0]?.extensions?.code, message: answer.errors?.[0]?.message };
  }
  const query = (document: string, variables: object, who: Person = person): Promise<GraphqlAnswer<Answer>> =>
    app.graphql<Answer>(document, variables, who.token);
  const deviceLink = async (id: string, who = person): Promise<Answer> =>
    (await query(`query ($id: ID!) { deviceLink(id: $id) { ${DEVICE} } }`, { id }, who)).data.deviceLink;
  const listOf = (accountId: string, who = person): Promise<GraphqlAnswer<Answer>> =>
    query(
      'query ($id: ID!) { node(id: $id) { ... on CloudAccount { status root { children { nodes { name } } } } } }',
      { id: accountId },
      who,
    );
  const rows = (): Promise<Account[]> =>
    app.app.storage.fork().find(Account, { provider: 'BAIDU', ownerId: person.userId });
  const tokensOf = (who: { id: string | null; name: string }) => {
    const { accessToken, refreshToken } = cloud.grantTo(who);
    return { provider: 'BAIDU', accessToken, refreshToken };
  };
  const upsert = async (who: { id: string | null; name: string }, more: object = {}, token = person.token) =>
    change('upsertAccountTokens', { ...tokensOf(who), ...more }, token);

  async function start(input: object = {}, who = person): Promise<{ link: Answer; flow: DeviceFlow }> {
    const { deviceLink: link, ...other } = await change('startDeviceLink', { provider: 'BAIDU', ...input }, who.token);
    assert.ok(link, JSON.stringify(other));
    const flow = cloud.devices.at(-1);
    assert.ok(flow);
    return { link, flow };
  }
  async function pass(ms = POLL_INTERVAL_MS): Promise<void> {
    clock.advance(ms);
    await app.app.services.deviceLinks.look();
  }

  describe('by a device code', () => {
    it('shows a picture of the code, and where to go', async () => {
      const { link } = await start();
      assert.equal(link.state, 'PENDING');
      assert.match(link.qrCodeDataUri, /^data:image\/png;base64,iVBORw0KGgo/);
      assert.equal(link.verificationUrl, 'https://cloud.example/device');
      assert.equal(link.account, null);
      assert.equal(Date.parse(link.expiresAt) - clock.now().getTime(), DEVICE_LIFE_MS);
    });

    it('tells every state by subscription and to whoever polls, and ends with the account', async () => {
      const { link, flow } = await start({ label: 'My cloud' });
      const seen: string[] = [];
      const events = openSse(app.url, {
        query: `subscription ($id: ID!) { deviceLinkUpdated(id: $id) { ${DEVICE} } }`,
        variables: { id: link.id },
        token: person.token,
      });
      const next = async (): Promise<Answer> => {
        const { value, done } = await events.next();
        if (!done) seen.push(value.data.deviceLinkUpdated.state);
        return value?.data?.deviceLinkUpdated;
      };
      await next();
      flow.answer = { outcome: 'SCANNED' };
      await pass();
      await next();
      assert.equal((await deviceLink(link.id)).state, 'SCANNED');
      flow.answer = { outcome: 'APPROVED', person: ada };
      await pass();
      const last = await next();
      assert.deepEqual(seen, ['PENDING', 'SCANNED', 'APPROVED']);
      assert.equal((await events.next()).done, true);
      assert.equal(last.account.label, 'My cloud');
      assert.deepEqual(await deviceLink(link.id), last);
      assert.deepEqual((await listOf(last.account.id)).data.node.root.children.nodes, [
        { name: 'one' },
        { name: 'two' },
      ]);
    });

    it('tells a refusal, and an end by the provider or by the time', async () => {
      for (const [answer, state] of [
        [{ outcome: 'DENIED' }, 'DENIED'],
        [{ outcome: 'EXPIRED' }, 'EXPIRED'],
        [cloud.fault('permission_denied', 'No.'), 'DENIED'],
        [cloud.fault('unexpected', 'What?'), 'EXPIRED'],
        [{ outcome: 'PENDING' }, 'EXPIRED'],
      ] as const) {
        const { link, flow } = await start();
        flow.answer = answer;
        await pass();
        if (answer instanceof Error || answer.outcome !== 'PENDING')
          assert.equal((await deviceLink(link.id)).state, state);
        await pass(DEVICE_LIFE_MS);
        assert.equal((await deviceLink(link.id)).state, state);
        const { polls } = flow;
        await pass(DEVICE_LIFE_MS);
        assert.equal(flow.polls, polls, 'what is over is polled no more');
      }
      const kept = await app.app.storage.fork().find(DeviceLink, { userId: person.userId });
      assert.ok(kept.every(({ sealedState }) => sealedState === null));
      assert.deepEqual(await rows(), []);
    });

    it('keeps to the interval, also when the provider asks for a longer one', async () => {
      const { flow } = await start();
      await pass(POLL_INTERVAL_MS - 1);
      assert.equal(flow.polls, 0);
      await pass(1);
      assert.equal(flow.polls, 1);
      flow.answer = { outcome: 'PENDING', intervalMs: POLL_INTERVAL_MS * 2 };
      await pass();
      assert.equal(flow.polls, 2);
      await pass();
      assert.equal(flow.polls, 2);
      await pass();
      assert.equal(flow.polls, 3);
    });

    it('goes on after an outage of the provider', async () => {
      const { link, flow } = await start();
      flow.answer = { outcome: 'APPROVED', person: ada };
      cloud.behaviour.down = true;
      await pass();
      assert.equal((await deviceLink(link.id)).state, 'PENDING');
      cloud.behaviour.down = false;
      await pass(POLL_INTERVAL_MS * 2);
      assert.equal((await deviceLink(link.id)).state, 'APPROVED');
    });

    it('keeps the tokens, which are given once, while the account cannot be made', async () => {
      const { link, flow } = await start();
      flow.answer = { outcome: 'APPROVED', person: ada };
      for (const fault of [cloud.fault('unavailable', 'Not now.'), new Error('A broken database.')]) {
        cloud.behaviour.profileFault = fault;
        await pass(POLL_INTERVAL_MS * 2);
        assert.equal((await deviceLink(link.id)).state, 'PENDING');
      }
      assert.equal(flow.polls, 1);
      cloud.behaviour.profileFault = null;
      await pass(POLL_INTERVAL_MS * 2);
      assert.equal((await deviceLink(link.id)).state, 'APPROVED');
      assert.equal(flow.polls, 1);
    });

    it('ends when the account can never be made', async () => {
      const { link, flow } = await start();
      flow.answer = { outcome: 'APPROVED', person: ada };
      cloud.behaviour.profileFault = cloud.fault('permission_denied', 'It lacks a right.');
      await pass();
      cloud.behaviour.profileFault = null;
      assert.equal((await deviceLink(link.id)).state, 'DENIED');
      assert.deepEqual(await rows(), []);
    });

    it('is told to nobody else', async () => {
      const { link } = await start();
      for (const other of [admin, await registerUser(app)]) {
        assert.equal(await deviceLink(link.id, other), null);
        const events = openSse(app.url, {
          query: 'subscription ($id: ID!) { deviceLinkUpdated(id: $id) { state } }',
          variables: { id: link.id },
          token: other.token,
        });
        const { value } = await events.next();
        assert.equal(value?.errors?.[0]?.extensions?.code, 'NOT_FOUND');
        await events.return(undefined);
      }
    });

    it('is begun only so often at a time, and not at all while the provider is down', async () => {
      cloud.behaviour.down = true;
      assert.equal((await change('startDeviceLink', { provider: 'BAIDU' })).code, 'PROVIDER_FAILED');
      cloud.behaviour.down = false;
      for (let count = 0; count < 10; count += 1) await start();
      assert.equal((await change('startDeviceLink', { provider: 'BAIDU' })).code, 'RATE_LIMITED');
      await pass(DEVICE_LIFE_MS);
      await start();
    });

    it('refuses labels that are none, and providers without it', async () => {
      for (const label of ['x'.repeat(129), 'two\nlines', '\ud800']) {
        const answer = await change('startDeviceLink', { provider: 'BAIDU', label });
        assert.deepEqual(
          answer.issues?.[0]?.path ?? answer.code,
          answer.issues ? ['input', 'label'] : 'BAD_USER_INPUT',
        );
      }
      assert.equal((await change('startDeviceLink', { provider: 'LOCAL' })).code, 'UNSUPPORTED');
      assert.equal((await change('startDeviceLink', { provider: 'PAN123' })).code, 'UNSUPPORTED');
    });
  });

  describe('on the page of the provider', () => {
    const begin = async (input: object = {}, who = person): Promise<{ state: string; url: URL }> => {
      const answer = await change('startAuthorizationLink', { provider: 'BAIDU', ...input }, who.token);
      assert.ok(answer.state, JSON.stringify(answer));
      return { state: answer.state, url: new URL(answer.authorizationUrl) };
    };
    const codeFor = (url: URL, who = ada): string => cloud.issueCode(who, url.searchParams.get('codeChallenge'));
    const complete = (state: string, code: string, who = person): Promise<Answer> =>
      change('completeAuthorizationLink', { state, code }, who.token);
    const callback = (values: Record<string, string>): Promise<Response> =>
      fetch(`${app.url}/link/callback?${new URLSearchParams(values)}`);

    it('links with the code, by the verifier of its challenge', async () => {
      const { state, url } = await begin({ label: 'By the page' });
      assert.equal(url.searchParams.get('state'), state);
      assert.equal(url.searchParams.get('redirectUri'), `${app.url}/link/callback`);
      assert.match(url.searchParams.get('codeChallenge') ?? '', /^[\w-]{43}$/);
      assert.equal((await complete(state, codeFor(url))).account.label, 'By the page');
    });

    it('takes a state once, from who began it', async () => {
      const { state, url } = await begin();
      const stranger = await registerUser(app);
      const refused = await complete(state, codeFor(url), stranger);
      assert.deepEqual(refused.issues[0].path, ['input', 'state']);
      assert.deepEqual((await complete(state, ' ')).issues[0].path, ['input', 'code']);
      assert.equal((await complete(state, codeFor(url))).__typename, 'CompleteAuthorizationLinkPayload');
      assert.deepEqual(await complete(state, codeFor(url)), refused);
      assert.deepEqual(await complete('unknown', codeFor(url)), refused);
    });

    it('is refused with a code of another challenge, and when the provider is down', async () => {
      const { state } = await begin();
      const answer = await complete(state, cloud.issueCode(ada, createHash('sha256').update('x').digest('base64url')));
      assert.equal(answer.code, 'PERMISSION_DENIED');
      const other = await begin();
      cloud.behaviour.down = true;
      assert.equal((await complete(other.state, codeFor(other.url))).code, 'PROVIDER_FAILED');
      cloud.behaviour.down = false;
      assert.deepEqual(await rows(), []);
    });

    it('takes an own address to return to, if it is one', async () => {
      const { url } = await begin({ redirectUri: 'com.example.app:/linked' });
      assert.equal(url.searchParams.get('redirectUri'), 'com.example.app:/linked');
      const wrong = await change('startAuthorizationLink', { provider: 'BAIDU', redirectUri: 'nowhere' });
      assert.deepEqual(wrong.issues[0].path, ['input', 'redirectUri']);
    });

    it('ends in a small page, which nobody keeps and no script can be put into', async () => {
      const { state, url } = await begin();
      const label = '<script>alert(1)</script>';
      const response = await callback({ state, code: codeFor(url, { ...ada, name: label }) });
      const text = await response.text();
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type') ?? '', /^text\/html/);
      assert.equal(response.headers.get('cache-control'), 'no-store');
      assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
      assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/);
      assert.doesNotMatch(text, /<script/);
      assert.match(text, /is linked/);
      assert.equal((await rows())[0]?.label, label);
      assert.equal((await callback({ state, code: codeFor(url) })).status, 400);
      assert.equal((await callback({ state: 'x<script>', code: 'y' })).status, 400);
      assert.equal((await callback({ error: 'access_denied', state })).status, 400);
      assert.equal((await callback({})).status, 400);
      assert.equal((await fetch(`${app.url}/link/callback`, { method: 'POST' })).status, 405);
    });
  });

  describe('with typed values', () => {
    const values = (given: Readonly<Record<string, string>>) =>
      Object.entries(given).map(([name, value]) => ({ name, value }));
    const link = (given: Readonly<Record<string, string>>, more: object = {}): Promise<Answer> =>
      change('linkWithCredentials', { provider: 'BAIDU', values: values(given), ...more });

    it('links, and keeps the secret ones sealed', async () => {
      const { account } = await link({ username: ' ada ', password: PASSWORD, address: 'https://cloud.example' });
      assert.equal(account.label, 'ada');
      assert.equal(account.credentials.masked, '••••••••');
      const [row] = await rows();
      assert.deepEqual(row?.settings, { address: 'https://cloud.example', username: 'ada' });
      assert.doesNotMatch(JSON.stringify(row), /canary/);
    });

    it('names each value that is missing, unknown, given twice or too long', async () => {
      const { issues } = await change('linkWithCredentials', {
        provider: 'BAIDU',
        values: [
          { name: 'pasword', value: PASSWORD },
          { name: 'address', value: 'one' },
          { name: 'address', value: 'two' },
          { name: 'username', value: 'x'.repeat(9000) },
        ],
      });
      const told = issues.map(({ path, message }: Answer) => `${path.join('.')} ${message}`);
      assert.deepEqual(told, [
        'input.values.0.name is unknown: see Provider.settings',
        'input.values.2.name gives address twice',
        'input.values.3.value must have at most 8192 characters',
        'input.values lacks password (Password)',
      ]);
      assert.doesNotMatch(JSON.stringify(issues), /canary/);
    });

    it('is refused with wrong ones, and stores nothing', async () => {
      assert.equal((await link({ username: 'ada', password: 'password-canary but wrong' })).code, 'PERMISSION_DENIED');
      assert.deepEqual(await rows(), []);
    });
  });

  describe('with tokens that an app has', () => {
    it('makes an account, then updates it in place', async () => {
      const first = await upsert(ada, { label: 'First' });
      const again = await upsert(ada);
      assert.equal(again.account.id, first.account.id);
      assert.equal(again.account.label, 'First');
      const renamed = await upsert(ada, { label: 'Renamed', accountId: first.account.id });
      assert.equal(renamed.account.label, 'Renamed');
      const [row, ...others] = await rows();
      assert.deepEqual(others, []);
      assert.equal(row?.providerUserId, ada.id);
    });

    it('are one account, however many link it at once', async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => upsert(ada)));
      assert.equal(new Set(answers.map(({ account }) => account.id)).size, 1);
      assert.equal((await rows()).length, 1);
    });

    it('takes several accounts of one provider, and the same one for two users', async () => {
      const ids = [await upsert(ada), await upsert(bob)].map(({ account }) => account.id);
      assert.equal(new Set(ids).size, 2);
      const other = await registerUser(app);
      const theirs = await upsert(ada, {}, other.token);
      assert.ok(!ids.includes(theirs.account.id));
      assert.equal((await listOf(theirs.account.id)).data.node, null);
    });

    it('refuses an account that is not there, not yours, or somebody else at the provider', async () => {
      const { account } = await upsert(ada);
      await upsert(bob);
      const other = await registerUser(app);
      const refused = [
        await upsert(ada, { accountId: account.id }, other.token),
        await upsert(ada, { accountId: encodeGlobalId('CloudAccount', 'nothing') }),
        await upsert(ada, { accountId: person.accountId }),
        await upsert(ada, { accountId: '' }),
      ];
      assert.deepEqual([...new Set(refused.map(({ code }) => code))], ['NOT_FOUND']);
      assert.equal((await upsert(bob, { accountId: account.id })).code, 'CONFLICT');
      assert.equal((await rows()).length, 2);
    });

    it('refuses tokens that are none, or that the provider does not take', async () => {
      for (const accessToken of ['', 'with space', 'x'.repeat(9000)]) {
        const answer = await upsert(ada, { accessToken });
        assert.deepEqual(answer.issues[0].path, ['input', 'accessToken']);
      }
      assert.equal((await upsert(ada, { expiresInSeconds: 0 })).code, 'INVALID_INPUT');
      assert.equal((await upsert(ada, { accessToken: 'unknown-canary' })).code, 'PERMISSION_DENIED');
      assert.deepEqual(await rows(), []);
    });

    it('makes a new account each time where the provider does not tell who it is', async () => {
      const nobody = { id: null, name: `${'\n'.repeat(3)}${'n'.repeat(200)}` };
      const { account } = await upsert(nobody);
      assert.equal(account.label, 'n'.repeat(125));
      await upsert(nobody);
      assert.equal((await upsert(nobody, { accountId: account.id })).account.id, account.id);
      assert.equal((await rows()).length, 2);
    });

    it('refuses an identity that cannot be kept, and a provider that has no tokens', async () => {
      assert.equal((await upsert({ id: 'x'.repeat(129), name: 'Long' })).code, 'PROVIDER_FAILED');
      const answer = await upsert(ada, { provider: 'LOCAL' });
      assert.equal(answer.code, 'UNSUPPORTED');
    });
  });

  describe('shared accounts', () => {
    it('are linked, updated and unlinked by administrators, one for each provider, for all', async () => {
      assert.equal((await change('startDeviceLink', { provider: 'BAIDU', shared: true })).code, 'PERMISSION_DENIED');
      const key = await createApiKey(app, admin.token, ['READ', 'ACCOUNTS']);
      const byKey = await change('startDeviceLink', { provider: 'BAIDU', shared: true }, key.secret);
      assert.equal(byKey.code, 'PERMISSION_DENIED', 'a key without the right of an administrator');

      const linked: string[] = [];
      for (const who of [ada, bob]) {
        const { link, flow } = await start({ shared: true }, admin);
        flow.answer = { outcome: 'APPROVED', person: who };
        await pass();
        const { account } = await deviceLink(link.id, admin);
        assert.equal(account.shared, true);
        assert.equal(account.credentials.masked, '••••••••');
        linked.push(account.id);
      }
      const [id = ''] = linked;
      assert.deepEqual(linked, [id, id]);

      const seen = await listOf(id);
      assert.equal(seen.data.node.root.children.nodes.length, 2);
      const { data } = await query(
        'query ($id: ID!) { node(id: $id) { ... on CloudAccount { credentials { masked } } } }',
        { id },
      );
      assert.equal(data.node.credentials, null, 'users see nothing of its credentials');
      for (const mutation of ['unlinkAccount', 'updateAccount'] as const) {
        assert.equal((await change(mutation, { accountId: id })).code, 'PERMISSION_DENIED');
      }
      assert.equal((await upsert(bob, { accountId: id })).code, 'PERMISSION_DENIED');
      assert.equal((await upsert(ada, { accountId: id }, admin.token)).code, 'CONFLICT');
      assert.equal((await upsert(bob, { accountId: id, label: 'Ours' }, admin.token)).account.label, 'Ours');
      assert.equal((await change('unlinkAccount', { accountId: id }, admin.token)).accountId, id);
      assert.equal((await listOf(id)).data.node, null);
    });
  });

  describe('unlinking', () => {
    it('ends the grant at the provider, and leaves nothing of it here', async () => {
      const { account } = await upsert(ada);
      const { link, flow } = await start();
      flow.answer = { outcome: 'APPROVED', person: ada };
      await pass();
      const token = cloud.grants.at(-1)?.accessToken;
      const other = await registerUser(app);
      assert.equal((await change('unlinkAccount', { accountId: account.id }, other.token)).code, 'NOT_FOUND');
      assert.equal((await change('unlinkAccount', { accountId: account.id })).accountId, account.id);
      assert.equal(cloud.revoked.at(-1), token);
      assert.deepEqual(await rows(), []);
      assert.equal((await deviceLink(link.id)).account, null);
      assert.equal((await change('unlinkAccount', { accountId: account.id })).code, 'NOT_FOUND');
    });

    it('is done also when the provider is down, or the credentials cannot be opened', async () => {
      const first = (await upsert(ada)).account.id;
      const second = (await upsert(bob)).account.id;
      await app.app.storage
        .fork()
        .nativeUpdate(Account, { providerUserId: bob.id, ownerId: person.userId }, { sealedCredentials: 'broken' });
      cloud.behaviour.down = true;
      for (const accountId of [first, second]) {
        assert.equal((await change('unlinkAccount', { accountId })).accountId, accountId);
      }
      cloud.behaviour.down = false;
      assert.deepEqual(await rows(), []);
    });

    it('never takes the built-in drive away', async () => {
      assert.equal((await change('unlinkAccount', { accountId: person.accountId })).code, 'PERMISSION_DENIED');
    });

    it('fails what a transfer still wants of the account with a typed error', async () => {
      const { account } = await upsert(ada);
      const [row] = await rows();
      const opened = await app.app.services.accounts.openForUser(person.userId, row?.id ?? '');
      await change('unlinkAccount', { accountId: account.id });
      const call = { signal: AbortSignal.timeout(5_000) };
      const page = { cursor: null, limit: 1 };
      await assert.rejects(opened.driver.list('/', {}, page, call), { category: 'unauthenticated' });
      await assert.rejects(app.app.services.accounts.openForUser(person.userId, row?.id ?? ''), { code: 'NOT_FOUND' });
    });
  });

  describe('an account whose grant ended', () => {
    it('says so with the account, and is made active by linking it again, in each way', async () => {
      const { account } = await upsert(ada);
      const relink: (() => Promise<unknown>)[] = [
        () => upsert(ada),
        () => upsert(ada, { accountId: account.id }),
        async () => {
          const { flow } = await start();
          flow.answer = { outcome: 'APPROVED', person: ada };
          await pass();
        },
        async () => {
          const { state } = await change('startAuthorizationLink', { provider: 'BAIDU' });
          await change('completeAuthorizationLink', { state, code: cloud.issueCode(ada) });
        },
      ];
      const events = openSse(app.url, {
        query: 'subscription ($id: ID!) { accountUpdated(accountId: $id) { status } }',
        variables: { id: account.id },
        token: person.token,
      });
      const status = async (): Promise<string> => (await events.next()).value?.data.accountUpdated.status;
      assert.equal(await status(), 'ACTIVE');
      for (const link of relink) {
        cloud.expireTokens(true);
        const failed = await listOf(account.id);
        assert.equal(failed.errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
        assert.equal(failed.errors?.[0]?.extensions?.accountId, account.id);
        assert.equal(await status(), 'NEEDS_REAUTHORIZATION');
        const refused = await query(
          `mutation ($id: ID!) { createFolder(input: { parent: { path: { accountId: $id, path: "/" } }, name: "x" }) { ... on ReauthorizationRequiredError { account { id } } } }`,
          { id: account.id },
        );
        assert.equal(refused.data.createFolder.account.id, account.id);
        await link();
        assert.equal(await status(), 'ACTIVE');
        assert.equal((await listOf(account.id)).errors, undefined);
      }
      await events.return(undefined);
    });

    it('asks for one renewal, however many calls find its token expired', async () => {
      const { account } = await upsert(ada);
      cloud.expireTokens();
      const before = cloud.counts.refreshes;
      const gate = Promise.withResolvers<void>();
      cloud.behaviour.gate = gate.promise;
      const calls = Array.from({ length: 50 }, () => listOf(account.id));
      setTimeout(() => gate.resolve(), 50);
      for (const { data, errors } of await Promise.all(calls)) {
        assert.equal(data.node.root?.children.nodes.length, 2, JSON.stringify(errors));
      }
      assert.equal(cloud.counts.refreshes - before, 1);
      const [row] = await rows();
      assert.ok(row?.credentialsRefreshedAt);
    });

    it('keeps what its person gave while an older grant was renewed', async () => {
      for (const forGood of [false, true]) {
        const { account } = await upsert(ada);
        cloud.expireTokens(forGood);
        const gate = Promise.withResolvers<void>();
        cloud.behaviour.gate = gate.promise;
        const before = cloud.counts.refreshes;
        const listing = listOf(account.id);
        while (cloud.counts.refreshes === before) await new Promise((resolve) => setImmediate(resolve));
        const tokens = tokensOf(ada);
        await change('upsertAccountTokens', tokens);
        gate.resolve();
        await listing;
        const [row] = await rows();
        assert.equal(row?.status, 'ACTIVE');
        cloud.revoked.length = 0;
        await change('unlinkAccount', { accountId: account.id });
        assert.deepEqual(cloud.revoked, [tokens.accessToken]);
      }
    });

    it('says that it must be linked again when what is stored was changed or moved, and is well afterwards', async () => {
      const { account } = await upsert(ada);
      await upsert(bob);
      const [one, other] = await rows();
      for (const sealed of [other?.sealedCredentials, 'v1.gone.AAAA', `${one?.sealedCredentials?.slice(0, -2)}AA`]) {
        await app.app.storage
          .fork()
          .nativeUpdate(Account, { id: one?.id ?? '' }, { sealedCredentials: sealed ?? null });
        const { errors } = await listOf(account.id);
        assert.equal(errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
        assert.ok(app.logLines.some((line) => line.includes('credentials of an account cannot be opened')));
      }
      await upsert(ada);
      assert.equal((await listOf(account.id)).errors, undefined);
    });
  });

  it('keeps every secret out of the log', () => {
    const log = app.logLines.join('\n');
    for (const secret of [...cloud.secrets(), PASSWORD.trim()]) assert.ok(!log.includes(secret), secret);
    assert.doesNotMatch(log, /canary/);
  });
});

describe('a sign-in on a page', { timeout: 60_000 }, () => {
  it('counts no more after a while, and is removed', async () => {
    const clock = new ManualClock();
    const cloud = await startLinkableCloud();
    const app = await startTestApp({ drives: [local, cloud.definition], clock });
    try {
      const { token } = await registerUser(app);
      const { data } = await app.graphql(
        'mutation { startAuthorizationLink(input: { provider: BAIDU }) { ... on StartAuthorizationLinkPayload { state } } }',
        {},
        token,
      );
      clock.advance(15 * 60_000);
      const query = new URLSearchParams({ state: data.startAuthorizationLink.state, code: cloud.issueCode(ada) });
      assert.equal((await fetch(`${app.url}/link/callback?${query}`)).status, 400);
      assert.equal(await app.app.services.authorizations.sweep(), 1);
    } finally {
      await app.close();
      await cloud.close();
    }
  });
});

describe('a sign-in by code', { timeout: 60_000 }, () => {
  const begin = async (app: TestApp, who: Person): Promise<string> => {
    const { data } = await app.graphql(
      'mutation { startDeviceLink(input: { provider: BAIDU }) { ... on StartDeviceLinkPayload { deviceLink { id } } } }',
      {},
      who.token,
    );
    return data.startDeviceLink.deviceLink.id;
  };
  const stateOf = async (app: TestApp, who: Person, id: string): Promise<string> =>
    (await app.graphql('query ($id: ID!) { deviceLink(id: $id) { state } }', { id }, who.token)).data.deviceLink.state;

  it('goes on after a restart of the server', async () => {
    const clock = new ManualClock();
    const cloud = await startLinkableCloud();
    const dataDir = await mkdtemp(join(tmpdir(), 'panql-test-'));
    const options = { drives: [local, cloud.definition], clock, dataDir };
    try {
      const first = await startTestApp(options);
      const person = await registerUser(first);
      const id = await begin(first, person);
      await first.close();
      const second = await startTestApp(options);
      const [flow] = cloud.devices;
      assert.ok(flow);
      flow.answer = { outcome: 'APPROVED', person: ada };
      clock.advance(POLL_INTERVAL_MS);
      await second.app.services.deviceLinks.look();
      assert.equal(await stateOf(second, person, id), 'APPROVED');
      await second.close();
    } finally {
      await cloud.close();
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  it('is polled by one of two servers, and one account comes of links at both', { skip: noPostgres }, async () => {
    const clock = new ManualClock();
    const cloud = await startLinkableCloud();
    const database = await createTestDatabase();
    const dataDir = await mkdtemp(join(tmpdir(), 'panql-test-'));
    const options = {
      drives: [local, cloud.definition],
      clock,
      dataDir,
      settings: { DATABASE_URL: database.url },
    };
    const first = await startTestApp(options);
    const second = await startTestApp(options);
    try {
      const person = await registerUser(first);
      const ids = [await begin(first, person), await begin(second, person)];
      for (let round = 1; round <= 3; round += 1) {
        clock.advance(POLL_INTERVAL_MS);
        await Promise.all([first, second].map(({ app }) => app.services.deviceLinks.look()));
        for (const { polls } of cloud.devices) assert.equal(polls, round);
      }
      for (const flow of cloud.devices) flow.answer = { outcome: 'APPROVED', person: ada };
      clock.advance(POLL_INTERVAL_MS);
      await Promise.all([first, second].map(({ app }) => app.services.deviceLinks.look()));
      for (const id of ids) assert.equal(await stateOf(first, person, id), 'APPROVED');
      assert.equal(await first.app.storage.fork().count(Account, { provider: 'BAIDU' }), 1);
    } finally {
      await first.close();
      await second.close();
      await database.drop();
      await cloud.close();
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});
