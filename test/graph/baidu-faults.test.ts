import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import type { FaultKind } from '../../src/drives/baidu/fake/faults.ts';
import { type BaiduFake, startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { sleep } from '../../src/lib/timer.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { FastTimer } from '../support/fast-timer.ts';
import { type Person, registerUser } from '../support/people.ts';
import { patch, settled, startUpload } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const MIB = 1024 * 1024;
const ROOT = '/apps/demo';

const FAULTS: readonly (readonly [string, FaultKind])[] = [
  ['a connection that nobody answers', { kind: 'cut', phase: 'before' }],
  ['a connection cut after the work was done', { kind: 'cut', phase: 'after' }],
  ['a connection cut within the answer', { kind: 'cut', phase: 'within' }],
  ['a broken server', { kind: 'status', status: 502 }],
  ['a throttle', { kind: 'errno', errno: 31034 }],
  ['an answer that ends early', { kind: 'truncate' }],
  ['a page with status 200', { kind: 'html', status: 200 }],
];
const UPLOAD_STEPS = ['precreate', 'locateupload', 'superfile2', 'create', 'filemetas'] as const;
const DOWNLOAD_STEPS = ['filemetas', 'dlink', 'download'] as const;
/** Longer than Baidu's throttle. */
const PAUSE_MS = 50_000;
/** Codes that a client can act on, for what failed at a provider. */
const TYPED = /^(PROVIDER_FAILED|RATE_LIMITED|INTEGRITY|UNAVAILABLE)$/;

/** The whole server, and the netdisk's imitation behind it: the transfer engine, the driver, HTTP. */
describe('whatever goes wrong on the way to Baidu', { timeout: 300_000 }, () => {
  const timer = new FastTimer();
  let seen = 0;
  let fake: BaiduFake;
  let user: ReturnType<BaiduFake['createUser']>;
  let app: TestApp;
  let person: Person;
  let accountId = '';

  before(async () => {
    // A rapid upload would leave the slices out.
    fake = await startBaiduFake({ settings: { rapidUploads: false } });
    user = fake.createUser();
    app = await startTestApp({
      driveTimer: timer,
      requestWaits: timer,
      settings: {
        BAIDU_CLIENT_ID: fake.app.clientId,
        BAIDU_CLIENT_SECRET: fake.app.clientSecret,
        BAIDU_APP_ROOT: ROOT,
        BAIDU_OPENAPI_URL: fake.urls.openapi,
        BAIDU_PAN_URL: fake.urls.pan,
        BAIDU_PCS_URL: fake.urls.pcs,
        OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
        DOWNLOAD_LIMIT: '1000',
        LIST_CACHE_SECONDS: '0', // What is remembered would hide what goes wrong.
      },
    });
    person = await registerUser(app);
    const { data } = await app.graphql(
      `mutation ($token: String!) { upsertAccountTokens(input: { provider: BAIDU, accessToken: $token }) {
        ... on UpsertAccountTokensPayload { account { id } } } }`,
      { token: fake.grant(user).accessToken },
      person.token,
    );
    accountId = data.upsertAccountTokens.account.id;
  });
  afterEach(async () => {
    fake.faults.clear();
    const isThrottled = fake.requests.slice(seen).some(({ errno }) => errno === 31034);
    seen = fake.requests.length;
    // A throttle pauses its call for the account: the next test begins after that.
    if (isThrottled) await sleep(timer, PAUSE_MS, new AbortController().signal);
  });
  after(async () => {
    await app.close();
    await fake.close();
    assert.deepEqual(fake.violations, [], 'the driver did what the documents forbid');
  });

  const ask = (document: string, variables: object): Promise<GraphqlAnswer<Answer>> =>
    app.graphql(document, variables, person.token);
  const at = (path: string) => ({ path: { accountId, path } });

  async function upload(name: string): Promise<{ readonly done: Answer; readonly bytes: Buffer }> {
    const bytes = randomBytes(4 * MIB + 1000);
    const started = await startUpload(app, person, { parent: at('/'), name, size: bytes.length });
    assert.equal(started.__typename, 'StartUploadPayload', JSON.stringify(started));
    assert.equal((await patch(started.uploadUrl, 0, bytes)).status, 204);
    return { done: await settled(app, person, started.transfer.id), bytes };
  }
  /** The one file is there, with these bytes and under this name. */
  function assertWhole(name: string, bytes: Buffer): void {
    const stem = name.replace(/\.bin$/, '');
    assert.deepEqual(
      fake.paths(user).filter((path) => path.startsWith(`${ROOT}/${stem}`)),
      [`${ROOT}/${name}`],
    );
    assert.ok(fake.bytesAt(user, `${ROOT}/${name}`)?.equals(bytes), 'the bytes are those that were sent');
  }

  describe('an upload is whole all the same', () => {
    for (const step of UPLOAD_STEPS) {
      for (const [what, fault] of FAULTS) {
        it(`after ${what} at ${step}`, async () => {
          const name = `${step}-${createHash('md5').update(what).digest('hex').slice(0, 6)}.bin`;
          const armed = fake.faults.inject({ ...fault, match: { endpoint: step } });
          const { done, bytes } = await upload(name);
          assert.equal(armed.hits, 1);
          assert.equal(done.state, 'SUCCEEDED', JSON.stringify(done.error));
          assertWhole(name, bytes);
        });
      }
    }
  });

  describe('an upload goes on when it is over, although all tries of one call failed', () => {
    for (const step of UPLOAD_STEPS) {
      it(`at ${step}`, async () => {
        const name = `outage-${step}.bin`;
        // The two that may have had an effect are sent once, and tried again by the transfer.
        const times = step === 'precreate' || step === 'create' ? 1 : 4;
        const armed = fake.faults.inject({ kind: 'status', status: 503, match: { endpoint: step }, times });
        const { done, bytes } = await upload(name);
        assert.equal(armed.hits, times);
        assert.equal(done.state, 'SUCCEEDED', JSON.stringify(done.error));
        assertWhole(name, bytes);
      });
    }
  });

  describe('a download is whole, or says that it is not', () => {
    for (const step of DOWNLOAD_STEPS) {
      for (const [what, fault] of FAULTS) {
        for (const times of [1, 100]) {
          it(`with ${what} at ${step}${times > 1 ? ', again and again' : ''}`, async () => {
            const bytes = randomBytes(300_000);
            const name = `d-${step}-${createHash('md5').update(what).digest('hex').slice(0, 6)}-${times}.bin`;
            fake.seedFile(user, `${ROOT}/${name}`, bytes);
            const { data } = await ask(
              `mutation ($file: EntryRef!) { createDownloadTicket(input: { file: $file }) {
                ... on CreateDownloadTicketPayload { ticket { url } } ... on UserError { code message } } }`,
              { file: at(`/${name}`) },
            );
            const { url } = data.createDownloadTicket.ticket ?? assert.fail(JSON.stringify(data));
            const armed = fake.faults.inject({ ...fault, match: { endpoint: step }, times });
            for (const range of [null, [1000, 250_000]] as const) {
              const headers: Record<string, string> = range ? { range: `bytes=${range[0]}-${range[1]}` } : {};
              const expected = range ? bytes.subarray(range[0], range[1] + 1) : bytes;
              const got = await fetch(url, { headers })
                .then(
                  async (response) => ({ response, body: Buffer.from(await response.arrayBuffer()) }),
                  () => null, // Cut off: no client takes that for the whole.
                )
                .catch(() => null);
              if (got?.response.ok) assert.ok(got.body.equals(expected), `${got.body.length} bytes`);
              else if (got) assert.match(JSON.parse(String(got.body)).errors[0].extensions.code, TYPED);
            }
            assert.ok(armed.hits >= 1);
          });
        }
      }
    }
  });

  describe('a listing is whole, or an error', () => {
    const CHILDREN = `query ($ref: EntryRef!, $after: String) { entry(ref: $ref) { ... on Folder {
      children(first: 100, after: $after) { nodes { name } pageInfo { hasNextPage endCursor } } } } }`;

    for (const [what, fault] of FAULTS) {
      for (const times of [1, 100]) {
        it(`with ${what}${times > 1 ? ', again and again' : ''}`, async () => {
          const folder = `l-${createHash('md5').update(what).digest('hex').slice(0, 6)}-${times}`;
          for (let index = 0; index < 150; index += 1) fake.seedFile(user, `${ROOT}/${folder}/${index}.txt`, 'x');
          const inFolder = (call: { query: URLSearchParams }) => call.query.get('dir') === `${ROOT}/${folder}`;
          const armed = fake.faults.inject({ ...fault, match: { endpoint: 'list', when: inFolder }, times });
          const names: string[] = [];
          for (let after: string | null = null; ; ) {
            const { data, errors }: GraphqlAnswer<Answer> = await ask(CHILDREN, { ref: at(`/${folder}`), after });
            if (errors) {
              // A person is not kept waiting for a minute, but told when to come back.
              assert.ok(times > 1 || fault.kind === 'errno', JSON.stringify(errors));
              assert.match(String(errors[0]?.extensions?.code), TYPED);
              break;
            }
            const { nodes, pageInfo } = data.entry.children;
            names.push(...nodes.map(({ name }: Answer) => name));
            if (!pageInfo.hasNextPage) {
              assert.equal(new Set(names).size, 150);
              break;
            }
            after = pageInfo.endCursor;
          }
          assert.ok(armed.hits >= 1);
        });
      }
    }
  });
});
