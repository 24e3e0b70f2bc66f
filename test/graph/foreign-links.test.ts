import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type PutFile, putFile } from '../support/files.ts';
import { type Loopback, startLoopback } from '../support/loopback.ts';
import { type Person, registerUser } from '../support/people.ts';
import { bytesOf, namesOf, rootOf, settled } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const KEY = 'sésame-canary 开门';

describe('links of other servers', { timeout: 60_000 }, () => {
  let here: TestApp;
  let there: TestApp;
  let web: Loopback;
  let saver: Person;
  let owner: Person;
  let file: PutFile;
  const bytes = randomBytes(300_000);

  before(async () => {
    const settings = { OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8', LOG_LEVEL: 'trace' };
    [here, there] = await Promise.all([startTestApp({ settings }), startTestApp({ settings })]);
    web = await startLoopback((request, response) =>
      request.url === '/moved' ? response.writeHead(302, { location: `${there.url}/d/x` }).end() : response.end('x'),
    );
    saver = await registerUser(here);
    owner = await registerUser(there);
    file = await putFile(there, owner, '报告.pdf', bytes);
  });
  after(async () => {
    await Promise.all([here.close(), there.close()]);
    await web[Symbol.asyncDispose]();
  });

  async function newLink(more: object = {}): Promise<string> {
    const { data } = await there.graphql(
      `mutation ($input: CreateDirectLinkInput!) { createDirectLink(input: $input) {
        ... on CreateDirectLinkPayload { link { url } } ... on UserError { message } } }`,
      { input: { file: file.file, ...more } },
      owner.token,
    );
    return data.createDirectLink.link.url;
  }
  async function save(input: object): Promise<Answer> {
    const { data, errors } = await here.graphql(
      `mutation ($input: SaveDirectLinkInput!) { saveDirectLink(input: $input) { __typename
        ... on SaveDirectLinkPayload { transfer { id kind } } ... on UserError { code message } } }`,
      { input: { parent: rootOf(saver), ...input } },
      saver.token,
    );
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data.saveDirectLink;
  }
  const saved = async (input: object): Promise<Answer> => {
    const { transfer } = await save(input);
    return settled(here, saver, transfer.id);
  };

  it('are fetched, with the name that the file has there', async () => {
    const done = await saved({ url: await newLink() });
    assert.deepEqual([done.kind, done.state, done.entry?.name], ['URL', 'SUCCEEDED', '报告.pdf'], JSON.stringify(done));
    assert.deepEqual(await bytesOf(here, saver, '/报告.pdf'), bytes);
  });

  it('get their key by its header, which nobody else gets', async () => {
    const url = await newLink({ key: KEY });
    assert.equal((await saved({ url, key: KEY, name: 'keyed.pdf' })).state, 'SUCCEEDED');
    for (const key of [undefined, 'wrong key']) {
      const failed = await saved({ url, key, name: 'refused.pdf' });
      assert.deepEqual([failed.state, failed.error.code], ['FAILED', 'PERMISSION_DENIED']);
    }
    assert.ok(!(await namesOf(here, saver)).includes('refused.pdf'));
    for (const table of ['transfers', 'idempotency_records', 'audit_records', 'transfer_events']) {
      const rows = await here.app.storage.fork().execute(`select * from ${table}`);
      assert.doesNotMatch(JSON.stringify(rows), /canary/, table);
    }
    assert.doesNotMatch([...here.logLines, ...there.logLines].join('\n'), /canary/);
    await saved({ url: `${web.url}/moved`, key: KEY, name: 'moved' });
    assert.equal(web.requests.at(-1)?.headers['x-link-key'], Buffer.from(KEY).toString('latin1'));
    assert.equal((await save({ url, key: 'a\r\nb: c', name: 'x' })).code, 'INVALID_INPUT');
  });

  it('may be any address of a file', async () => {
    const done = await saved({ url: `${web.url}/some/file.txt` });
    assert.deepEqual([done.state, done.entry.name], ['SUCCEEDED', 'file.txt']);
    assert.equal((await save({ url: 'http://169.254.169.254/d/x' })).code, 'INVALID_INPUT');
  });

  it('are saved once for one key', async () => {
    const input = { url: await newLink(), name: 'once.pdf', idempotencyKey: randomUUID() };
    const begun = await Promise.all(Array.from({ length: 20 }, () => save(input)));
    assert.equal(new Set(begun.map(({ transfer }) => transfer.id)).size, 1);
    assert.equal((await settled(here, saver, begun[0].transfer.id)).state, 'SUCCEEDED');
    assert.equal((await save({ ...input, name: 'other' })).code, 'CONFLICT');
  });
});
