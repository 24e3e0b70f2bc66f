import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type NetdiskFake, type NetdiskUser, startNetdiskFake } from '../../src/drives/netdisk/fake/index.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { type Person, registerUser } from '../support/people.ts';
import { settled, uploadText } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const ERROR =
  '__typename ... on UserError { code message } ... on UnsupportedError { ability } ... on ProviderError { providerCode }';
const ENTRY = '__typename id name path ... on File { size }';

/** The whole server, and the imitation of a Netdisk server behind it: nothing between is replaced. */
describe('an account on a Netdisk server', { timeout: 120_000 }, () => {
  let fake: NetdiskFake;
  let user: NetdiskUser;
  let app: TestApp;
  let person: Person;
  let accountId = '';

  before(async () => {
    fake = await startNetdiskFake();
    user = fake.createUser('ada', 'password-canary of ada');
    user.world.put('/docs', null);
    user.world.put('/docs/report.txt', Buffer.from('a report'));
    app = await startTestApp({ settings: { OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8' } });
    person = await registerUser(app);
  });
  after(async () => {
    await app.close();
    await fake.close();
    assert.deepEqual(fake.violations, []);
  });

  const send = (document: string, variables: object = {}, server = app, who = person): Promise<GraphqlAnswer<Answer>> =>
    server.graphql<Answer>(document, variables, who.token);
  async function ask(document: string, variables: object = {}): Promise<Answer> {
    const answer = await send(document, variables);
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data;
  }
  const link = (values: Record<string, string>, server = app, who = person): Promise<GraphqlAnswer<Answer>> =>
    send(
      `mutation ($input: LinkWithCredentialsInput!) { result: linkWithCredentials(input: $input) {
         ... on LinkWithCredentialsPayload { account { id label provider abilities profile { name } credentials { masked } } } ${ERROR} } }`,
      { input: { provider: 'NETDISK', values: Object.entries(values).map(([name, value]) => ({ name, value })) } },
      server,
      who,
    );
  const typed = (more: Record<string, string> = {}) => ({
    baseUrl: `${fake.url}/`,
    username: 'ada',
    password: user.password,
    ...more,
  });
  const at = (path: string) => ({ path: { accountId, path } });
  const entry = async (path: string): Promise<Answer> =>
    (await ask(`query ($ref: EntryRef!) { entry(ref: $ref) { ${ENTRY} } }`, { ref: at(path) })).entry;
  async function change(mutation: string, input: object, payload: string): Promise<Answer> {
    const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}`;
    const document = `mutation ($input: ${type}Input!) { result: ${mutation}(input: $input) { ... on ${type}Payload { ${payload} } ${ERROR} } }`;
    return (await ask(document, { input })).result;
  }

  it('is offered, with what to type', async () => {
    const { providers } = await ask('{ providers { id configured linkMethods settings { name secret required } } }');
    const offered = providers.find(({ id }: Answer) => id === 'NETDISK');
    assert.deepEqual([offered.configured, offered.linkMethods], [true, ['PASSWORD']]);
    assert.deepEqual(offered.settings, [
      { name: 'baseUrl', secret: false, required: true },
      { name: 'username', secret: false, required: true },
      { name: 'password', secret: true, required: true },
    ]);
  });

  it('is not linked by a wrong password, or by an address that is none', async () => {
    const wrong = (await link(typed({ password: 'wrong' }))).data.result;
    assert.equal(wrong.code, 'PERMISSION_DENIED');
    for (const baseUrl of [
      'files.example',
      'ftp://files.example',
      `${fake.url}?x=1`,
      'http://ada:word@files.example/',
    ]) {
      assert.equal((await link(typed({ baseUrl }))).data.result.code, 'INVALID_INPUT', baseUrl);
    }
  });

  it('is not linked at a private address that the operator did not allow', async () => {
    const guarded = await startTestApp();
    try {
      const before = fake.counts.requests;
      const refused = (await link(typed(), guarded, await registerUser(guarded))).data.result;
      assert.notEqual(refused.__typename, 'LinkWithCredentialsPayload');
      assert.equal(fake.counts.requests, before);
    } finally {
      await guarded.close();
    }
  });

  it('is linked by user and password, once', async () => {
    const { account } = (await link(typed())).data.result;
    accountId = account.id;
    assert.deepEqual([account.label, account.provider, account.profile], ['ada', 'NETDISK', { name: 'ada' }]);
    assert.equal((await link(typed({ baseUrl: fake.url }))).data.result.account.id, accountId);
    for (const ability of [
      'READ',
      'SEARCH_NAME',
      'CREATE_FOLDER',
      'RENAME',
      'DELETE',
      'UPLOAD',
      'SHARE_CREATE',
      'SHARE_SAVE',
    ]) {
      assert.ok(account.abilities.includes(ability), ability);
    }
    for (const ability of ['LIST', 'MOVE', 'COPY', 'RECYCLE_LIST', 'RESUMABLE_UPLOAD', 'OFFLINE_ADD', 'CHANGES']) {
      assert.ok(!account.abilities.includes(ability), ability);
    }
  });

  it('finds entries by path and by name, and tells no sizes', async () => {
    const file = await entry('/docs/report.txt');
    assert.deepEqual(
      [file.__typename, file.name, file.path, file.size],
      ['File', 'report.txt', '/docs/report.txt', null],
    );
    assert.equal((await entry('/docs')).__typename, 'Folder');
    assert.equal((await entry('/')).path, '/');
    assert.equal(await entry('/nowhere'), null);
    const { search } = await ask(
      'query ($ids: [ID!]) { search(query: "REPORT", accountIds: $ids) { nodes { id path } incomplete { error { message } } } }',
      { ids: [accountId] },
    );
    assert.deepEqual(search, { nodes: [{ id: file.id, path: file.path }], incomplete: [] });
  });

  it('lists no folder: refused before anything is sent, and never told as an empty one', async () => {
    const before = fake.counts.requests;
    const { data, errors } = await send(
      'query ($id: ID!) { node(id: $id) { ... on CloudAccount { root { children { nodes { id } } } } } }',
      { id: accountId },
    );
    assert.equal(errors?.[0]?.extensions?.code, 'UNSUPPORTED');
    assert.doesNotMatch(JSON.stringify(data), /"nodes":\[\]/);
    assert.equal(fake.counts.requests, before);
  });

  it('takes files, folders and other names, and gives the bytes', async () => {
    const made = await change('createFolder', { parent: at('/'), name: 'new' }, 'folder { id path }');
    assert.equal(made.folder.path, '/new');
    const again = await change('createFolder', { parent: at('/'), name: 'new' }, 'folder { id }');
    assert.equal(again.code, 'ALREADY_EXISTS');
    const { transfer } = await uploadText(app, person, { parent: at('/new'), name: 'a b.txt', content: 'hello 世界' });
    const done = await settled(app, person, transfer.id);
    assert.deepEqual([done.state, done.entry.name], ['SUCCEEDED', 'a b.txt']);
    assert.equal(user.world.bytesOf('/new/a b.txt')?.toString(), 'hello 世界');
    const renamed = await change('renameEntry', { entry: at('/new/a b.txt'), name: 'c#d.txt' }, `entry { ${ENTRY} }`);
    assert.equal(renamed.entry.path, '/new/c#d.txt');
    // A chain of names, where an id is a path: whoever gives a name up goes first.
    const next = await uploadText(app, person, { parent: at('/new'), name: 'e.txt', content: 'x' });
    await settled(app, person, next.transfer.id);
    const chain = [
      { entry: at('/new/c#d.txt'), name: 'e.txt' },
      { entry: at('/new/e.txt'), name: 'f.txt' },
      { entry: at('/new/none.txt'), name: 'g.txt' },
    ];
    const many = await change('renameEntries', { entries: chain }, `results { entry { path } error { code } }`);
    assert.deepEqual(
      many.results.map(({ entry, error }: Answer) => entry?.path ?? error.code),
      ['/new/e.txt', '/new/f.txt', 'NOT_FOUND'],
    );
    await change('renameEntry', { entry: at('/new/e.txt'), name: 'c#d.txt' }, `entry { ${ENTRY} }`);
    const { ticket } = await change('createDownloadTicket', { file: at('/new/c#d.txt') }, 'ticket { url }');
    const whole = await fetch(ticket.url);
    assert.equal(await whole.text(), 'hello 世界');
    for (const ranges of [false, true]) {
      fake.settings.ranges = ranges;
      const part = await fetch(ticket.url, { headers: { range: 'bytes=6-8' } });
      assert.deepEqual([part.status, await part.text()], [206, '世']);
      assert.equal(part.headers.get('content-range'), 'bytes 6-8/12');
    }
    Object.assign(fake.settings, { ranges: false, lengths: false });
    const untold = await fetch(ticket.url, { headers: { range: 'bytes=6-8' } });
    assert.deepEqual([untold.status, await untold.text()], [200, 'hello 世界'], 'no part of a file of no length');
    fake.settings.lengths = true;
    const { results } = await change('deleteEntries', { entries: [at('/new')] }, `results { error { ${ERROR} } }`);
    assert.deepEqual(results, [{ error: null }]);
    assert.equal(user.world.kindOf('/new'), null);
  });

  it('shares a file with a key, and saves what was shared', async () => {
    const { share } = await change(
      'createShare',
      { entries: [at('/docs/report.txt')], days: 7, password: 'K3Y' },
      'share { id url password expiresAt active }',
    );
    assert.ok(share.url.startsWith(`${fake.url}/download/`));
    assert.deepEqual([share.password, share.active], ['K3Y', true]);
    const saved = await change('saveShare', { url: share.url, parent: at('/') }, 'entries { id }');
    assert.deepEqual(saved.entries, []);
    assert.equal(user.world.bytesOf('/report.txt')?.toString(), 'a report');
    const twice = await change('saveShare', { url: share.url, parent: at('/') }, 'entries { id }');
    assert.equal(twice.code, 'ALREADY_EXISTS');
  });

  it('signs in again when its token has run out, once for all who ask', async () => {
    fake.expireTokens();
    const before = fake.counts.logins;
    const found = await Promise.all(Array.from({ length: 5 }, () => entry('/docs')));
    assert.ok(found.every((one) => one.name === 'docs'));
    assert.equal(fake.counts.logins, before + 1);
  });

  it('needs its person when the password is another, and works again when it is linked anew', async () => {
    user.password = 'another password-canary';
    fake.expireTokens();
    const { errors } = await send('query ($ref: EntryRef!) { entry(ref: $ref) { id } }', { ref: at('/docs') });
    assert.equal(errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
    const { node } = await ask('query ($id: ID!) { node(id: $id) { ... on CloudAccount { status } } }', {
      id: accountId,
    });
    assert.equal(node.status, 'NEEDS_REAUTHORIZATION');
    const { account } = (await link(typed())).data.result;
    assert.equal(account.id, accountId);
    assert.equal((await entry('/docs')).name, 'docs');
  });

  it('tells its passwords to nobody', async () => {
    const { node } = await ask(
      'query ($id: ID!) { node(id: $id) { ... on CloudAccount { label credentials { masked } } } }',
      {
        id: accountId,
      },
    );
    assert.doesNotMatch(JSON.stringify(node) + app.logLines.join(''), /password-canary/);
  });
});
