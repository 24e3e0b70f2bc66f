import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { Account } from '../../src/storage/entities/account.ts';
import { DeviceLink } from '../../src/storage/entities/linking.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DEVICE_LIFE_MS, POLL_INTERVAL_MS, startLinkableCloud } from '../support/linkable-drive.ts';
import { ada, DEVICE, LinkingBench } from '../support/linking.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { identify, type Person, registerUser } from '../support/people.ts';
import { createTestDatabase, skipReason } from '../support/services.ts';
import { openSse, RawSocket } from '../support/transports.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const noPostgres = await skipReason('PostgreSQL');

describe('linking by a code', { timeout: 120_000 }, () => {
  let bench: LinkingBench;

  before(async () => {
    bench = await LinkingBench.open();
  });
  beforeEach(() => bench.newPerson());
  after(() => bench.close());

  describe('by a device code', () => {
    it('shows a picture of the code, and where to go', async () => {
      const { link } = await bench.start();
      assert.equal(link.state, 'PENDING');
      assert.match(link.qrCodeDataUri, /^data:image\/png;base64,iVBORw0KGgo/);
      assert.equal(link.verificationUrl, 'https://cloud.example/device');
      assert.equal(link.account, null);
      assert.equal(Date.parse(link.expiresAt) - bench.clock.now().getTime(), DEVICE_LIFE_MS);
    });

    it('tells every state by subscription and to whoever polls, and ends with the account', async () => {
      const { link, flow } = await bench.start({ label: 'My cloud' });
      const seen: string[] = [];
      const events = openSse(bench.app.url, {
        query: `subscription ($id: ID!) { deviceLinkUpdated(id: $id) { ${DEVICE} } }`,
        variables: { id: link.id },
        token: bench.person.token,
      });
      const next = async (): Promise<Answer> => {
        const { value, done } = await events.next();
        if (!done) seen.push(value.data.deviceLinkUpdated.state);
        return value?.data?.deviceLinkUpdated;
      };
      await next();
      flow.answer = { outcome: 'SCANNED' };
      await bench.pass();
      await next();
      assert.equal((await bench.deviceLink(link.id)).state, 'SCANNED');
      flow.answer = { outcome: 'APPROVED', person: ada };
      await bench.pass();
      const last = await next();
      assert.deepEqual(seen, ['PENDING', 'SCANNED', 'APPROVED']);
      assert.equal((await events.next()).done, true);
      assert.equal(last.account.label, 'My cloud');
      assert.deepEqual(await bench.deviceLink(link.id), last);
      assert.deepEqual((await bench.listOf(last.account.id)).data.node.root.children.nodes, [
        { name: 'one' },
        { name: 'two' },
      ]);
    });

    for (const [last, answer] of [
      ['APPROVED', { outcome: 'APPROVED', person: ada }],
      ['DENIED', { outcome: 'DENIED' }],
      ['EXPIRED', { outcome: 'EXPIRED' }],
    ] as const) {
      it(`tells every state over a WebSocket, to the end: ${last}`, async () => {
        const { link, flow } = await bench.start();
        const socket = await RawSocket.signedIn(bench.app.url, bench.person.token);
        const query = `subscription ($id: ID!) { deviceLinkUpdated(id: $id) { state account { id } } }`;
        socket.subscribe('1', query, { id: link.id });
        const next = async (): Promise<Answer> => (await socket.message()).payload;
        assert.deepEqual(await next(), { data: { deviceLinkUpdated: { state: 'PENDING', account: null } } });
        flow.answer = { outcome: 'SCANNED' };
        await bench.pass();
        assert.deepEqual(await next(), { data: { deviceLinkUpdated: { state: 'SCANNED', account: null } } });
        flow.answer = answer;
        await bench.pass();
        const { state, account } = (await next()).data.deviceLinkUpdated;
        assert.deepEqual([state, account !== null], [last, last === 'APPROVED']);
        assert.equal((await socket.message()).type, 'complete');
        socket.close();
      });
    }

    it('tells a refusal, and an end by the provider or by the time', async () => {
      for (const [answer, state] of [
        [{ outcome: 'DENIED' }, 'DENIED'],
        [{ outcome: 'EXPIRED' }, 'EXPIRED'],
        [bench.cloud.fault('permission_denied', 'No.'), 'DENIED'],
        [bench.cloud.fault('unexpected', 'What?'), 'EXPIRED'],
        [{ outcome: 'PENDING' }, 'EXPIRED'],
      ] as const) {
        const { link, flow } = await bench.start();
        flow.answer = answer;
        await bench.pass();
        if (answer instanceof Error || answer.outcome !== 'PENDING')
          assert.equal((await bench.deviceLink(link.id)).state, state);
        await bench.pass(DEVICE_LIFE_MS);
        assert.equal((await bench.deviceLink(link.id)).state, state);
        const { polls } = flow;
        await bench.pass(DEVICE_LIFE_MS);
        assert.equal(flow.polls, polls, 'what is over is polled no more');
      }
      const kept = await bench.app.app.storage.fork().find(DeviceLink, { userId: bench.person.userId });
      assert.ok(kept.every(({ sealedState }) => sealedState === null));
      assert.deepEqual(await bench.rows(), []);
    });

    it('keeps to the interval, also when the provider asks for a longer one', async () => {
      const { flow } = await bench.start();
      await bench.pass(POLL_INTERVAL_MS - 1);
      assert.equal(flow.polls, 0);
      await bench.pass(1);
      assert.equal(flow.polls, 1);
      flow.answer = { outcome: 'PENDING', intervalMs: POLL_INTERVAL_MS * 2 };
      await bench.pass();
      assert.equal(flow.polls, 2);
      await bench.pass();
      assert.equal(flow.polls, 2);
      await bench.pass();
      assert.equal(flow.polls, 3);
    });

    it('goes on after an outage of the provider', async () => {
      const { link, flow } = await bench.start();
      flow.answer = { outcome: 'APPROVED', person: ada };
      bench.cloud.behaviour.down = true;
      await bench.pass();
      assert.equal((await bench.deviceLink(link.id)).state, 'PENDING');
      bench.cloud.behaviour.down = false;
      await bench.pass(POLL_INTERVAL_MS * 2);
      assert.equal((await bench.deviceLink(link.id)).state, 'APPROVED');
    });

    it('keeps the tokens, which are given once, while the account cannot be made', async () => {
      const { link, flow } = await bench.start();
      flow.answer = { outcome: 'APPROVED', person: ada };
      for (const fault of [bench.cloud.fault('unavailable', 'Not now.'), new Error('A broken database.')]) {
        bench.cloud.behaviour.profileFault = fault;
        await bench.pass(POLL_INTERVAL_MS * 2);
        assert.equal((await bench.deviceLink(link.id)).state, 'PENDING');
      }
      assert.equal(flow.polls, 1);
      bench.cloud.behaviour.profileFault = null;
      await bench.pass(POLL_INTERVAL_MS * 2);
      assert.equal((await bench.deviceLink(link.id)).state, 'APPROVED');
      assert.equal(flow.polls, 1);
    });

    it('ends when the account can never be made', async () => {
      const { link, flow } = await bench.start();
      flow.answer = { outcome: 'APPROVED', person: ada };
      bench.cloud.behaviour.profileFault = bench.cloud.fault('permission_denied', 'It lacks a right.');
      await bench.pass();
      bench.cloud.behaviour.profileFault = null;
      assert.equal((await bench.deviceLink(link.id)).state, 'DENIED');
      assert.deepEqual(await bench.rows(), []);
    });

    it('ends when who began it may no longer link the account', async () => {
      const second = bench.person;
      const setRole = (role: string) =>
        identify(bench.app, 'setUserRole', { userId: encodeGlobalId('User', second.userId), role }, bench.admin);
      assert.equal((await setRole('ADMIN')).__typename, 'SetUserRolePayload');
      const { link, flow } = await bench.start({ shared: true }, second);
      await setRole('USER');
      flow.answer = { outcome: 'APPROVED', person: ada };
      await bench.pass();
      assert.equal((await bench.deviceLink(link.id)).state, 'DENIED');
      assert.deepEqual(await bench.rows(), []);
    });

    it('is told to nobody else', async () => {
      const { link } = await bench.start();
      for (const other of [bench.admin, await registerUser(bench.app)]) {
        assert.equal(await bench.deviceLink(link.id, other), null);
        const events = openSse(bench.app.url, {
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
      bench.cloud.behaviour.down = true;
      assert.equal((await bench.change('startDeviceLink', { provider: 'BAIDU' })).code, 'PROVIDER_FAILED');
      bench.cloud.behaviour.down = false;
      for (let count = 0; count < 10; count += 1) await bench.start();
      assert.equal((await bench.change('startDeviceLink', { provider: 'BAIDU' })).code, 'RATE_LIMITED');
      await bench.pass(DEVICE_LIFE_MS);
      await bench.start();
    });

    it('refuses labels that are none, and providers without it', async () => {
      for (const label of ['x'.repeat(129), 'two\nlines', '\ud800']) {
        const answer = await bench.change('startDeviceLink', { provider: 'BAIDU', label });
        assert.deepEqual(
          answer.issues?.[0]?.path ?? answer.code,
          answer.issues ? ['input', 'label'] : 'BAD_USER_INPUT',
        );
      }
      assert.equal((await bench.change('startDeviceLink', { provider: 'LOCAL' })).code, 'UNSUPPORTED');
      assert.equal((await bench.change('startDeviceLink', { provider: 'PAN123' })).code, 'UNSUPPORTED');
    });
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
