import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type BaiduFake, startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { REFERENCE_ROWS, VENDOR_ROWS } from '../support/baidu-error-tables.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type Person, registerUser } from '../support/people.ts';
import { openSse } from '../support/transports.ts';
import { patch, settled, startUpload } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;
type User = ReturnType<BaiduFake['createUser']>;

const MIB = 1024 * 1024;
const POLL_MS = 6_000;
const ERROR = '__typename ... on UserError { code message }';
const CHILDREN = `query ($id: ID!) { node(id: $id) { ... on CloudAccount { status root { id children(first: 50) {
  nodes { id name path ... on File { size category } parent { id } } } } } } }`;

/** The whole server, and the netdisk's imitation behind it: nothing between is replaced. */
describe('a netdisk account', { timeout: 120_000 }, () => {
  const clock = new ManualClock();
  let fake: BaiduFake;
  let user: User;
  let app: TestApp;
  let person: Person;
  let accountId = '';
  let rootId = '';

  before(async () => {
    fake = await startBaiduFake({ now: () => clock.now().getTime() });
    user = fake.createUser({ baiduName: 'ada', vipType: 1, shareGrant: true });
    fake.seedFile(user, '/apps/demo/资料/Report.pdf', 'a report');
    fake.seedFile(user, '/private/secret.txt', 'not for the application');
    app = await startTestApp({
      clock,
      settings: {
        BAIDU_CLIENT_ID: fake.app.clientId,
        BAIDU_CLIENT_SECRET: fake.app.clientSecret,
        BAIDU_APP_ID: fake.app.appId,
        BAIDU_APP_ROOT: '/apps/demo',
        BAIDU_OPENAPI_URL: fake.urls.openapi,
        BAIDU_PAN_URL: fake.urls.pan,
        BAIDU_PCS_URL: fake.urls.pcs,
        OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
      },
    });
    person = await registerUser(app);
  });
  after(async () => {
    await app.close();
    await fake.close();
  });

  const ask = async (document: string, variables: object = {}): Promise<Answer> => {
    const answer: GraphqlAnswer<Answer> = await app.graphql(document, variables, person.token);
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data;
  };
  const children = async (): Promise<Answer> => (await ask(CHILDREN, { id: accountId })).node.root.children.nodes;
  const poll = async (): Promise<void> => {
    clock.advance(POLL_MS);
    await app.app.services.deviceLinks.look();
  };

  it('is offered, with its ways to link and its table of errors', async () => {
    const { providers } = await ask(
      '{ providers { id configured linkMethods abilities errorCodes { code meaning category retryable hint } } }',
    );
    const offered = providers.find(({ id }: Answer) => id === 'BAIDU');
    assert.equal(offered.configured, true);
    assert.deepEqual(offered.linkMethods, ['DEVICE_CODE', 'AUTHORIZATION_CODE', 'TOKENS']);
    const shown = new Map<string, Answer>(offered.errorCodes.map((row: Answer) => [row.code, row]));
    for (const [code] of REFERENCE_ROWS) assert.ok(shown.has(String(code)), `${code}`);
    for (const [code, isHinted] of VENDOR_ROWS) if (isHinted) assert.ok(shown.get(String(code))?.hint, `${code}`);
    const throttled = shown.get('31034');
    assert.deepEqual([throttled.category, throttled.retryable], ['rate_limited', true]);
    for (const ability of ['LIST', 'UPLOAD', 'READ', 'SEARCH_SEMANTIC', 'SHARE_CREATE', 'THUMBNAIL', 'MEDIA_PLAYLIST'])
      assert.ok(offered.abilities.includes(ability), ability);
    for (const ability of ['RECYCLE_LIST', 'OFFLINE_ADD', 'SHARE_CANCEL'])
      assert.ok(!offered.abilities.includes(ability), ability);
  });

  it('is linked by a code, told while it happens', async () => {
    const { startDeviceLink } = await ask(
      `mutation { startDeviceLink(input: { provider: BAIDU }) {
        ... on StartDeviceLinkPayload { deviceLink { id state userCode verificationUrl qrCodeDataUri } } ${ERROR} } }`,
    );
    const link = startDeviceLink.deviceLink;
    assert.ok(link, JSON.stringify(startDeviceLink));
    assert.equal(link.userCode, fake.devices.all.at(-1)?.userCode);
    const updates = openSse(app.url, {
      query: `subscription ($id: ID!) { deviceLinkUpdated(id: $id) { state account { id label status } } }`,
      variables: { id: link.id },
      token: person.token,
    });
    const next = async (): Promise<Answer> => (await updates.next()).value?.data?.deviceLinkUpdated;
    assert.equal((await next()).state, 'PENDING');
    await poll();
    fake.devices.approve(user);
    await poll();
    const linked = await next();
    assert.equal(linked.state, 'APPROVED');
    assert.deepEqual([linked.account.label, linked.account.status], ['ada', 'ACTIVE']);
    assert.equal((await updates.next()).done, true);
    accountId = linked.account.id;
  });

  it('shows its folder, and nothing above it', async () => {
    const { node } = await ask(CHILDREN, { id: accountId });
    rootId = node.root.id;
    assert.deepEqual(
      node.root.children.nodes.map(({ name, path, parent }: Answer) => [name, path, parent.id]),
      [['资料', '/资料', rootId]],
    );
    const { node: found } = await ask(
      `query ($id: ID!) { node(id: $id) { ... on CloudAccount {
        profile { name membership } storage { totalBytes usedBytes freeBytes byCategory { category count } }
        inside: entry(path: "/资料/Report.pdf") { name ... on File { size category } }
        outside: entry(path: "/private/secret.txt") { name } } } }`,
      { id: accountId },
    );
    assert.deepEqual(found.inside, { name: 'Report.pdf', size: 8, category: 'DOCUMENT' });
    assert.equal(found.outside, null);
    assert.deepEqual(found.profile, { name: 'ada', membership: 'member' });
  });

  it('asks once for the facts of 100 files, and finds the folder of a deep one by its path', async () => {
    for (let index = 0; index < 100; index += 1) fake.seedFile(user, `/apps/demo/资料/many/${index}.txt`, `${index}`);
    const { node } = await ask(
      `query ($id: ID!) { node(id: $id) { ... on CloudAccount { entry(path: "/资料/many") { id ... on Folder {
        children(first: 100) { nodes { id path parent { path } } } } } } } }`,
      { id: accountId },
    );
    const { id: folderId, children: listed } = node.entry;
    assert.deepEqual(new Set(listed.nodes.map(({ parent }: Answer) => parent.path)), new Set(['/资料/many']));
    const before = { metas: fake.count('filemetas'), lists: fake.count('list') };
    const { nodes } = await ask(
      'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on File { size path hashes { value } } } }',
      { ids: listed.nodes.map(({ id }: Answer) => id) },
    );
    assert.equal(nodes.filter(({ size, path }: Answer) => size > 0 && path.startsWith('/资料/many/')).length, 100);
    assert.equal(fake.count('filemetas') - before.metas, 1);
    assert.equal(fake.count('list'), before.lists);

    const parents = await ask(
      'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on File { parent { id path parent { path parent { id } } } } } }',
      { ids: listed.nodes.slice(0, 10).map(({ id }: Answer) => id) },
    );
    for (const { parent } of parents.nodes) {
      assert.deepEqual([parent.id, parent.path, parent.parent.path], [folderId, '/资料/many', '/资料']);
      assert.equal(parent.parent.parent.id, rootId);
    }
    assert.ok(fake.count('list') - before.lists <= 2, 'one look for the folder, and one for the folder of that');
    fake.removeEntry(user, '/apps/demo/资料/many');
  });

  it('tells changes that are found by comparing, and says so', async () => {
    const changes = async (after: string | null = null): Promise<Answer> =>
      (
        await ask(
          `query ($id: ID!, $after: String) { node(id: $id) { ... on CloudAccount { abilities changes(after: $after) {
            computed complete comparedAt nodes { kind path entry { name } } pageInfo { endCursor } } } } }`,
          { id: accountId, after },
        )
      ).node;
    const first = await changes();
    assert.ok(first.abilities.includes('CHANGES'));
    assert.deepEqual(first.changes, {
      computed: true,
      complete: true,
      comparedAt: clock.now().toISOString(),
      nodes: [],
      pageInfo: { endCursor: null },
    });
    fake.seedFile(user, '/apps/demo/资料/later.txt', 'later');
    clock.advance(120_000);
    const { nodes, pageInfo } = (await changes()).changes;
    assert.deepEqual(nodes, [{ kind: 'CREATED', path: '/资料/later.txt', entry: { name: 'later.txt' } }]);
    assert.deepEqual((await changes(pageInfo.endCursor)).changes.nodes, []);
  });

  it('takes an upload in slices, which appears when it is whole', async () => {
    const bytes = randomBytes(9 * MIB + 5);
    const started = await startUpload(app, person, {
      parent: { id: rootId },
      name: 'film.mp4',
      size: bytes.length,
    });
    assert.equal(started.__typename, 'StartUploadPayload', JSON.stringify(started));
    assert.equal((await patch(started.uploadUrl, 0, bytes)).status, 204);
    const done = await settled(app, person, started.transfer.id);
    assert.deepEqual([done.state, done.error, done.route], ['SUCCEEDED', null, 'SLICED']);
    assert.equal(fake.slicesReceived, 3);
    assert.ok(fake.peak('superfile2') <= 3, 'no more slices are in memory at one time');
    assert.ok(fake.bytesAt(user, '/apps/demo/film.mp4')?.equals(bytes));

    const twin = await startUpload(app, person, { parent: { id: rootId }, name: 'twin.mp4', size: bytes.length });
    await patch(twin.uploadUrl, 0, bytes);
    const { state, route } = await settled(app, person, twin.transfer.id);
    assert.deepEqual([state, route, fake.slicesReceived], ['SUCCEEDED', 'INSTANT', 3]);
  });

  it('gives a download through this server, in whole and in part', async () => {
    const film = (await children()).find(({ name }: Answer) => name === 'film.mp4');
    const expected = fake.bytesAt(user, '/apps/demo/film.mp4') ?? Buffer.alloc(0);
    const { createDownloadTicket } = await ask(
      `mutation ($input: CreateDownloadTicketInput!) { createDownloadTicket(input: $input) {
        ... on CreateDownloadTicketPayload { ticket { url mode headers { name } } } ${ERROR} } }`,
      { input: { file: { id: film.id } } },
    );
    const { ticket } = createDownloadTicket;
    assert.ok(ticket.url.startsWith(app.url), 'no address of the netdisk is given away');
    const whole = await fetch(ticket.url);
    assert.equal(whole.status, 200);
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(expected));
    const part = await fetch(ticket.url, { headers: { range: 'bytes=5000000-5000999' } });
    assert.equal(part.status, 206);
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(expected.subarray(5_000_000, 5_001_000)));
  });

  it('goes on with a new token when the old one is refused, and with one refresh for all', async () => {
    fake.expireTokens(user);
    const before = fake.refreshes;
    const listed = await Promise.all([children(), children(), children()]);
    assert.ok(listed.every((nodes) => nodes.length === 3));
    assert.equal(fake.refreshes, before + 1);
  });

  it('tells a refusal in the words of the API', async () => {
    const { renameEntry } = await ask(
      `mutation ($input: RenameEntryInput!) { renameEntry(input: $input) { ${ERROR} } }`,
      { input: { entry: { id: (await children())[0].id }, name: 'a?b' } },
    );
    assert.equal(renameEntry.code, 'INVALID_INPUT');
  });

  it('needs its person once the grant was taken back', async () => {
    fake.revoke(user);
    const { errors } = await app.graphql(CHILDREN, { id: accountId }, person.token);
    assert.equal(errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
    const { accessToken, refreshToken } = fake.grant(user);
    const { upsertAccountTokens } = await ask(
      `mutation ($input: UpsertAccountTokensInput!) { upsertAccountTokens(input: $input) {
        ... on UpsertAccountTokensPayload { account { id status } } ${ERROR} } }`,
      { input: { provider: 'BAIDU', accessToken, refreshToken, expiresInSeconds: 2_592_000 } },
    );
    assert.deepEqual(upsertAccountTokens.account, { id: accountId, status: 'ACTIVE' });
    assert.equal((await children()).length, 3);
  });

  it('is unlinked, and its grant ended there', async () => {
    const { unlinkAccount } = await ask(
      `mutation ($input: UnlinkAccountInput!) { unlinkAccount(input: $input) {
        ... on UnlinkAccountPayload { accountId } ${ERROR} } }`,
      { input: { accountId } },
    );
    assert.equal(unlinkAccount.accountId, accountId);
    assert.equal((await ask('query ($id: ID!) { node(id: $id) { id } }', { id: accountId })).node, null);
    assert.ok(fake.entryAt(user, '/apps/demo/film.mp4'), 'files stay');
    assert.ok(fake.requests.some(({ endpoint }) => endpoint === 'revokeAuthorization'));
  });

  it('left nothing secret in the log, and did nothing that the netdisk forbids', () => {
    const log = app.logLines.join('\n');
    for (const { query } of fake.requests)
      for (const secret of [query.access_token, query.refresh_token, query.client_secret])
        if (secret) assert.ok(!log.includes(secret));
    assert.deepEqual(fake.violations, []);
  });
});
