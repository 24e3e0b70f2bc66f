import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type BaiduFake, startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { FastTimer } from '../support/fast-timer.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { registerUser } from '../support/people.ts';
import { ServerProcess, temporaryFolder } from '../support/process.ts';
import { createTestDatabase, skipReason } from '../support/services.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;
type User = ReturnType<BaiduFake['createUser']>;

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const ROOT = '/apps/demo';
const CALLS = 50;
/** A refresh that failed is not tried again before. */
const REFRESH_PAUSE_MS = 30_000;

const UPSERT = `mutation ($input: UpsertAccountTokensInput!) { result: upsertAccountTokens(input: $input) {
  ... on UpsertAccountTokensPayload { account { id } } ... on UserError { code message } } }`;
const CHILDREN = `query ($ref: EntryRef!) { entry(ref: $ref) { ... on Folder { children { nodes { name } } } } }`;
const STATUS = 'query ($id: ID!) { node(id: $id) { ... on CloudAccount { status } } }';

const noPostgres = await skipReason('PostgreSQL');

/** The whole server before the netdisk's imitation, whose refresh tokens work once. */
describe('the tokens of a netdisk account', { timeout: 120_000 }, () => {
  let fake: BaiduFake;
  const settings = () => ({
    BAIDU_CLIENT_ID: fake.app.clientId,
    BAIDU_CLIENT_SECRET: fake.app.clientSecret,
    BAIDU_APP_ROOT: ROOT,
    BAIDU_OPENAPI_URL: fake.urls.openapi,
    BAIDU_PAN_URL: fake.urls.pan,
    BAIDU_PCS_URL: fake.urls.pcs,
    OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
    LIST_CACHE_SECONDS: '0',
  });

  before(async () => {
    fake = await startBaiduFake();
  });
  after(() => fake.close());

  /** Someone with so many folders, each with a file of its own. */
  function newUser(): User {
    const user = fake.createUser();
    for (let index = 0; index < CALLS; index += 1) fake.seedFile(user, `${ROOT}/${index}/file ${index}.txt`, 'x');
    return user;
  }
  const countOf = (errno: number) => fake.requests.filter((request) => request.errno === errno).length;

  describe('in one process', () => {
    const clock = new ManualClock();
    let app: TestApp;
    let token: string;

    before(async () => {
      app = await startTestApp({ clock, requestWaits: new FastTimer(), settings: settings() });
      token = (await registerUser(app)).token;
    });
    after(() => app.close());

    async function link(user: User): Promise<string> {
      const { data } = await app.graphql(UPSERT, { input: { provider: 'BAIDU', ...fake.grant(user) } }, token);
      return data.result.account?.id ?? assert.fail(JSON.stringify(data));
    }
    const list = (accountId: string, index: number) =>
      app.graphql<Answer>(CHILDREN, { ref: { path: { accountId, path: `/${index}` } } }, token);

    it('are refreshed once for fifty calls at one time', async () => {
      const user = newUser();
      const accountId = await link(user);
      fake.expireTokens(user);
      const [refreshes, refused] = [fake.refreshes, countOf(20016)];
      const answers = await Promise.all(Array.from({ length: CALLS }, (_, index) => list(accountId, index)));
      for (const [index, { data, errors }] of answers.entries()) {
        assert.equal(errors, undefined, JSON.stringify(errors));
        assert.deepEqual(data.entry.children.nodes, [{ name: `file ${index}.txt` }]);
      }
      assert.ok(countOf(20016) > refused, 'the old token was refused');
      assert.equal(fake.refreshes - refreshes, 1);
    });

    it('are lost when the answer to a refresh is: the account needs its person, and is not tried any more', async () => {
      const user = newUser();
      const accountId = await link(user);
      fake.expireTokens(user);
      const before = fake.count('refresh');
      const lost = fake.loseNextRefreshAnswer();
      const broken = await list(accountId, 1);
      assert.deepEqual(
        [broken.errors?.[0]?.extensions?.code, broken.errors?.[0]?.extensions?.retryable],
        ['PROVIDER_FAILED', true],
      );
      assert.equal(lost.hits, 1);
      clock.advance(REFRESH_PAUSE_MS);
      const { errors } = await list(accountId, 1);
      assert.equal(errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED', JSON.stringify(errors));
      assert.equal(
        fake.count('refresh') - before,
        2,
        'sent once more, as its documents say, and refused as used by then',
      );
      assert.equal((await app.graphql(STATUS, { id: accountId }, token)).data.node.status, 'NEEDS_REAUTHORIZATION');

      const requests = fake.requests.length;
      const again = await Promise.all([list(accountId, 1), list(accountId, 2)]);
      for (const answer of again) assert.equal(answer.errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
      assert.equal(fake.requests.length, requests, 'Baidu is left alone');

      assert.equal(await link(user), accountId, 'the same account, with new tokens');
      assert.equal((await list(accountId, 1)).errors, undefined);
    });
  });

  it('are refreshed once for fifty calls at one time of two processes', { skip: noPostgres }, async (t) => {
    const database = await createTestDatabase();
    t.after(() => database.drop());
    const DATA_DIR = await temporaryFolder(t);
    const environment = { ...settings(), DATA_DIR, DATABASE_URL: database.url, LOG_LEVEL: 'info' };
    const start = async (): Promise<string> => {
      const server = new ServerProcess(MAIN, environment);
      t.after(async () => {
        server.child.kill('SIGKILL');
        await server.exited;
      });
      return server.url();
    };
    // One after the other: the first makes the tables and the keys.
    const urls = [await start(), await start()];
    const ask = async (url: string, query: string, variables: object, token = ''): Promise<Answer> => {
      const headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ query, variables }),
      });
      const { data, errors } = (await response.json()) as Answer;
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data;
    };
    const [first = ''] = urls;
    const registered = await ask(
      first,
      `mutation { register(input: { username: "somebody", password: "a password of mine" }) {
        ... on RegisterPayload { session { accessToken } } } }`,
      {},
    );
    const token = registered.register.session.accessToken;
    const user = newUser();
    const { result } = await ask(first, UPSERT, { input: { provider: 'BAIDU', ...fake.grant(user) } }, token);
    const accountId = result.account.id;

    fake.expireTokens(user);
    const refreshes = fake.refreshes;
    // Of lists Baidu takes few in a second; its other questions are not counted.
    const questions = [
      ...['0', '1'].map((folder) => () => [CHILDREN, { ref: { path: { accountId, path: `/${folder}` } } }] as const),
      ...['profile { name }', 'storage { usedBytes }'].map(
        (field) => () =>
          [`query ($id: ID!) { node(id: $id) { ... on CloudAccount { ${field} } } }`, { id: accountId }] as const,
      ),
    ];
    const asked = Array.from({ length: CALLS }, (_, index) => {
      const [query, variables] = (index < 4 ? questions[index % 2] : questions[2 + (index % 2)])?.() ?? ['', {}];
      return ask(urls[(index >> 1) & 1] ?? '', query, variables, token);
    });
    await Promise.all(asked);
    assert.equal(fake.refreshes - refreshes, 1);
    assert.deepEqual(fake.violations, []);
  });
});
