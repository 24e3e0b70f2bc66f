import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Pan123Fake, type Pan123User, startPan123Fake } from '../../src/drives/pan123/fake/index.ts';
import { decodeIdOf, encodeEntryId } from '../../src/graph/ids.ts';
import { systemTimer, type Timer } from '../../src/lib/timer.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { createApiKey, type Person, registerUser } from '../support/people.ts';
import { patch, settled, startUpload } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const SLICE_BYTES = 256 * 1024;
const SINGLE = '/upload/v2/file/single/create';
const ERROR = '__typename ... on UserError { code message }';
const RESULTS = `results { entry { id name } error { ${ERROR} } }`;
const CHILDREN = `query ($id: ID!) { node(id: $id) { ... on CloudAccount { status root { id children(first: 50, maxAgeSeconds: 0) {
  nodes { id name path ... on File { size hashes { algorithm value } } } } } } } }`;
const BIN = 'query ($id: ID!) { node(id: $id) { ... on CloudAccount { recycleBin(first: 9) { nodes { id name } } } } }';

/** The whole server, its rates included, and 123pan's imitation behind it: nothing between is replaced. */
describe('an account at 123pan', { timeout: 170_000 }, () => {
  const clock = new ManualClock();
  // What the driver waits for by itself has passed at once, and at 123pan too.
  const driveTimer: Timer = {
    ...systemTimer,
    after: (delayMs, task) => {
      clock.advance(delayMs);
      return systemTimer.after(0, task);
    },
  };
  let fake: Pan123Fake;
  let user: Pan123User;
  let app: TestApp;
  let person: Person;
  let stranger: Person;
  let accountId = '';
  let rootId = '';

  before(async () => {
    fake = await startPan123Fake({ now: () => clock.now().getTime(), settings: { sliceBytes: SLICE_BYTES } });
    // A member: free accounts would wait five seconds for each look into the recycle bin.
    user = fake.createUser({ nickname: 'ada', vip: true, vipLevel: 2 });
    fake.seedFile(user, '/资料/Report.pdf', 'a report');
    fake.seedFile(user, '/Film.mp4', 5000);
    app = await startTestApp({
      clock,
      driveTimer,
      settings: {
        PAN123_CLIENT_ID: fake.app.clientId,
        PAN123_CLIENT_SECRET: fake.app.clientSecret,
        PAN123_API_URL: fake.urls.api,
        PAN123_AUTH_URL: fake.urls.api,
        OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
      },
    });
    await app.app.services.offlineFollower.close(); // Nobody asks here but the tests.
    person = await registerUser(app);
    stranger = await registerUser(app);
  });
  after(async () => {
    await app.close();
    await fake.close();
    assert.deepEqual(fake.violations, [], 'the server did what the documents forbid');
  });

  const ask = async (document: string, variables: object = {}, who = person): Promise<Answer> => {
    const answer: GraphqlAnswer<Answer> = await app.graphql(document, variables, who.token);
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data;
  };
  const mutate = async (name: string, fields: string, input: object, who = person): Promise<Answer> => {
    const type = `${name[0]?.toUpperCase()}${name.slice(1)}`;
    const document = `mutation ($input: ${type}Input!) { result: ${name}(input: $input) { ... on ${type}Payload { ${fields} } ${ERROR}
      ... on ProviderError { providerCode hint } ... on InvalidInputError { issues { path } } } }`;
    return (await ask(document, { input }, who)).result;
  };
  const children = async (): Promise<Answer> => (await ask(CHILDREN, { id: accountId })).node.root.children.nodes;
  const entryAt = (path: string): object => ({ path: { accountId, path } });
  const credentials = (clientSecret = user.clientSecret): object => ({
    provider: 'PAN123',
    values: [
      { name: 'clientId', value: user.clientId },
      { name: 'clientSecret', value: clientSecret },
    ],
  });

  it('is offered, with what a person types, and its table of errors', async () => {
    const { providers } = await ask(
      '{ providers { id configured linkMethods abilities settings { name secret required } errorCodes { code hint } } }',
    );
    const offered = providers.find(({ id }: Answer) => id === 'PAN123');
    assert.equal(offered.configured, true);
    assert.deepEqual(offered.settings, [
      { name: 'clientId', secret: false, required: true },
      { name: 'clientSecret', secret: true, required: true },
    ]);
    for (const ability of [
      'LIST',
      'SEARCH_NAME',
      'READ',
      'CREATE_FOLDER',
      'RENAME',
      'MOVE',
      'COPY',
      'DELETE',
      'UPLOAD',
    ])
      assert.ok(offered.abilities.includes(ability), ability);
    for (const ability of ['RECYCLE_LIST', 'RECYCLE_RESTORE', 'RECYCLE_PURGE', 'INSTANT_UPLOAD', 'TRANSCODE'])
      assert.ok(offered.abilities.includes(ability), ability);
    for (const ability of ['SHARE_CREATE', 'SHARE_LIST', 'SHARE_UPDATE', 'OFFLINE_ADD', 'PROVIDER_DIRECT_LINK'])
      assert.ok(offered.abilities.includes(ability), ability);
    for (const ability of ['SHARE_CANCEL', 'SHARE_SAVE', 'OFFLINE_LIST', 'OFFLINE_CANCEL', 'LIST_RECURSIVE'])
      assert.ok(!offered.abilities.includes(ability), ability);
    assert.ok(offered.errorCodes.some(({ code, hint }: Answer) => code === '5113' && hint !== null));
  });

  it('is linked by its client id and secret, and not by wrong ones', async () => {
    const wrong = await mutate('linkWithCredentials', 'account { id }', credentials('wrong'));
    assert.equal(wrong.code, 'PERMISSION_DENIED');
    const { account } = await mutate(
      'linkWithCredentials',
      'account { id label status credentials { masked } }',
      credentials(),
    );
    assert.deepEqual([account.label, account.status], ['ada', 'ACTIVE']);
    assert.ok(!JSON.stringify(account).includes(user.clientSecret));
    accountId = account.id;
    const again = await mutate('linkWithCredentials', 'account { id }', credentials());
    assert.equal(again.account.id, accountId, 'the same account');
  });

  it('shows who it is and what it holds, to nobody else', async () => {
    const { node } = await ask(
      `query ($id: ID!) { node(id: $id) { ... on CloudAccount { profile { name membership } storage { totalBytes usedBytes }
        report: entry(path: "/资料/Report.pdf") { path ... on File { size category } } } } }`,
      { id: accountId },
    );
    assert.deepEqual(node.profile, { name: 'ada', membership: 'SVIP' });
    assert.deepEqual(node.report, { path: '/资料/Report.pdf', size: 8, category: 'DOCUMENT' });
    assert.ok(node.storage.totalBytes > node.storage.usedBytes);
    rootId = (await ask(CHILDREN, { id: accountId })).node.root.id;
    assert.deepEqual((await children()).map(({ name }: Answer) => name).toSorted(), ['Film.mp4', '资料']);
    assert.equal((await ask(CHILDREN, { id: accountId }, stranger)).node, null);
  });

  it('takes an upload in slices, and the same bytes again at once', async () => {
    const bytes = randomBytes(2 * SLICE_BYTES + 5);
    const started = await startUpload(app, person, { parent: { id: rootId }, name: 'big.bin', size: bytes.length });
    assert.equal((await patch(started.uploadUrl, 0, bytes)).status, 204);
    const done = await settled(app, person, started.transfer.id);
    assert.deepEqual([done.state, done.error, done.route], ['SUCCEEDED', null, 'SLICED']);
    assert.equal(fake.slicesReceived, 3);
    assert.ok(fake.bytesAt(user, '/big.bin')?.equals(bytes));
    const twin = await startUpload(app, person, { parent: { id: rootId }, name: 'twin.bin', size: bytes.length });
    await patch(twin.uploadUrl, 0, bytes);
    const { state, route } = await settled(app, person, twin.transfer.id);
    assert.deepEqual([state, route, fake.slicesReceived], ['SUCCEEDED', 'INSTANT', 3]);
  });

  it('sends a small file in one request, and in slices where there is no such call', async () => {
    const send = async (name: string): Promise<Answer> => {
      const bytes = randomBytes(1000);
      const started = await startUpload(app, person, { parent: { id: rootId }, name, size: bytes.length });
      await patch(started.uploadUrl, 0, bytes);
      const done = await settled(app, person, started.transfer.id);
      assert.equal(done.state, 'SUCCEEDED', JSON.stringify(done));
      assert.ok(fake.bytesAt(user, `/${name}`)?.equals(bytes));
    };
    const before = fake.slicesReceived;
    await send('small.bin');
    assert.deepEqual([fake.count(SINGLE), fake.slicesReceived - before], [1, 0]);
    fake.settings.missing = [SINGLE];
    await send('other small.bin');
    assert.deepEqual([fake.count(SINGLE), fake.slicesReceived - before], [2, 1]);
    fake.settings.missing = [];
  });

  it('gives a download through this server only: the link is good in one city', async () => {
    const big = (await children()).find(({ name }: Answer) => name === 'big.bin');
    const { ticket } = await mutate('createDownloadTicket', 'ticket { url }', { file: { id: big.id } });
    assert.ok(ticket.url.startsWith(app.url));
    const whole = await fetch(ticket.url);
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(fake.bytesAt(user, '/big.bin') ?? Buffer.alloc(0)));
    const part = await fetch(ticket.url, { headers: { range: 'bytes=5-9' } });
    assert.deepEqual([part.status, (await part.arrayBuffer()).byteLength], [206, 5]);
  });

  it('changes its tree', async () => {
    const made = await mutate('createFolder', 'folder { id name }', { parent: { id: rootId }, name: '新 folder' });
    assert.equal(made.folder.name, '新 folder');
    const taken = await mutate('createFolder', 'folder { id }', { parent: { id: rootId }, name: '新 folder' });
    assert.equal(taken.code, 'ALREADY_EXISTS');
    const bad = await mutate('createFolder', 'folder { id }', { parent: { id: rootId }, name: 'a?b' });
    assert.equal(bad.code, 'INVALID_INPUT');
    const destination = { id: made.folder.id };
    const copied = await mutate('copyEntries', RESULTS, { entries: [entryAt('/资料/Report.pdf')], destination });
    assert.equal(copied.results[0].error, null, JSON.stringify(copied));
    const moved = await mutate('moveEntries', RESULTS, { entries: [entryAt('/twin.bin')], destination });
    assert.equal(moved.results[0].error, null, JSON.stringify(moved));
    await mutate('renameEntry', 'entry { name }', { entry: entryAt('/新 folder/twin.bin'), name: 'other.bin' });
    assert.deepEqual(
      fake.paths(user).filter((path) => path.startsWith('/新 folder/')),
      ['/新 folder/Report.pdf', '/新 folder/other.bin'].toSorted(),
    );
  });

  it('renames many entries in few requests, a chain of names step by step', async () => {
    for (const name of ['1', '2', '3']) fake.seedFile(user, `/资料/many/${name}.txt`, name);
    const rowId = decodeIdOf(accountId, 'CloudAccount') ?? '';
    const others = Array.from({ length: 31 }, (_, number) => {
      const { id } = fake.seedFile(user, `/资料/many/file ${number}`, `file ${number}`);
      return { entry: { id: encodeEntryId('FILE', rowId, String(id)) }, name: `${number} 文件` };
    });
    const before = fake.count('/api/v1/file/rename');
    const renames = [
      { entry: entryAt('/资料/many/1.txt'), name: '2.txt' },
      { entry: entryAt('/资料/many/2.txt'), name: '3.txt' },
      { entry: entryAt('/资料/many/3.txt'), name: '4|.txt' },
      ...others,
    ];
    const fails = await mutate('renameEntries', RESULTS, { entries: renames });
    const told = ({ results }: Answer): string[] =>
      results.map(({ entry, error }: Answer) => error?.code ?? entry.name);
    assert.deepEqual(told(fails).slice(0, 5), [
      'ALREADY_EXISTS',
      'ALREADY_EXISTS',
      'INVALID_INPUT',
      '0 文件',
      '1 文件',
    ]);
    assert.equal(
      fake.count('/api/v1/file/rename') - before,
      4,
      '30 and 2 that are in nobody’s way, then one, then one',
    );
    const chain = renames.slice(0, 3).map((rename, at) => ({ ...rename, name: `${at + 2}.txt` }));
    const strangers = await mutate('renameEntries', RESULTS, { entries: chain }, stranger);
    assert.deepEqual(told(strangers), ['NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND']);
    assert.deepEqual(told(await mutate('renameEntries', RESULTS, { entries: chain })), ['2.txt', '3.txt', '4.txt']);
    assert.deepEqual(
      ['2', '3', '4'].map((name) => fake.bytesAt(user, `/资料/many/${name}.txt`)?.toString()),
      ['1', '2', '3'],
    );
  });

  it('finds by name', async () => {
    const { search } = await ask(
      'query ($ids: [ID!]) { search(query: "repor", accountIds: $ids) { nodes { name } } }',
      {
        ids: [accountId],
      },
    );
    assert.deepEqual(
      search.nodes.map(({ name }: Answer) => name),
      ['Report.pdf', 'Report.pdf'],
    );
  });

  it('has a recycle bin that gives back, and is emptied', async () => {
    await mutate('deleteEntries', RESULTS, { entries: [entryAt('/big.bin')] });
    const [binned] = (await ask(BIN, { id: accountId })).node.recycleBin.nodes;
    assert.equal(binned.name, 'big.bin');
    const restored = await mutate('restoreEntries', RESULTS, { ids: [binned.id] });
    assert.equal(restored.results[0].entry?.name, 'big.bin', JSON.stringify(restored));
    await mutate('deleteEntries', RESULTS, { entries: [entryAt('/big.bin')] });
    assert.equal((await mutate('emptyRecycleBin', 'ok', { accountId })).ok, true);
    assert.deepEqual(fake.recycled(user), []);
  });

  it('is shared, and tells who pays the traffic', async () => {
    const input = { entries: [entryAt('/资料')], days: 7, password: 'ab12', traffic: { guests: true } };
    const { share } = await mutate('createShare', 'share { id url password expiresAt }', input);
    assert.match(share.url, /\/s\/key-/);
    assert.equal(fake.shares[0]?.trafficSwitch, 2);
    const { node } = await ask(
      'query ($id: ID!) { node(id: $id) { ... on CloudAccount { shares(first: 5) { nodes { id password active } } } } }',
      { id: accountId },
    );
    assert.deepEqual(node.shares.nodes, [{ id: share.id, password: 'ab12', active: true }]);
    const changed = await mutate('updateShare', 'share { id }', { id: share.id, traffic: { beyondQuota: true } });
    assert.equal(changed.share?.id, share.id, JSON.stringify(changed));
    assert.equal(fake.shares[0]?.trafficSwitch, 3);
    assert.equal((await mutate('updateShare', 'share { id }', { id: share.id, password: 'cd34' })).code, 'UNSUPPORTED');
    assert.equal((await mutate('cancelShare', 'id', { id: share.id })).code, 'UNSUPPORTED');
  });

  it('downloads by itself what is at an address, and what became of it is kept here', async () => {
    const urls = ['https://files.example/film.mkv', 'https://files.example/broken.mkv'];
    const added = await mutate('addOfflineTasks', `results { url task { id state } error { ${ERROR} } }`, {
      accountId,
      urls: [...urls, 'magnet:?xt=urn:btih:0000000000000000000000000000000000000000'],
      destination: entryAt('/资料'),
    });
    const [good, broken, magnet] = added.results;
    assert.deepEqual(
      [good.error, broken.error, magnet.error?.code],
      [null, null, 'UNSUPPORTED'],
      JSON.stringify(added),
    );
    const state = async (id: string): Promise<string> =>
      (await ask('query ($id: ID!) { node(id: $id) { ... on OfflineTask { state } } }', { id })).node.state;
    const states: string[] = [];
    for (let looks = 0; looks < 3; looks += 1) {
      clock.advance(60_000);
      states.push(await state(good.task.id), await state(broken.task.id));
    }
    assert.deepEqual(states.slice(-2), ['SUCCEEDED', 'FAILED'], states.join());
    assert.ok(fake.entryAt(user, '/资料/film.mkv'));
  });

  it('has versions of its films made, played by way of this server, and deleted', async () => {
    const file = entryAt('/Film.mp4');
    const versions = async (): Promise<Answer> =>
      (
        await ask('query ($f: EntryRef!) { entry(ref: $f) { ... on File { media { versions { quality state } } } } }', {
          f: file,
        })
      ).entry.media.versions;
    assert.deepEqual(await versions(), []);
    const wrong = await mutate('transcodeFile', 'file { name }', { file, quality: '4320P' });
    assert.equal(wrong.code, 'INVALID_INPUT');
    const asked = await mutate('transcodeFile', 'file { name }', { file, quality: '720P' });
    assert.equal(asked.file?.name, 'Film.mp4', JSON.stringify(asked));
    await versions();
    assert.ok((await versions()).some(({ quality, state }: Answer) => quality === '720P' && state === 'READY'));
    for (const filmLinks of ['record', 'none'] as const) {
      fake.settings.filmLinks = filmLinks;
      const { entry } = await ask(
        'query ($f: EntryRef!) { entry(ref: $f) { ... on File { media { playlistUrl(quality: "720P") } } } }',
        { f: file },
      );
      assert.ok(entry.media.playlistUrl.startsWith(app.url), 'no address of 123pan is given away');
      const playlist = await (await fetch(entry.media.playlistUrl)).text();
      const segment = playlist.split('\n').find((line) => line !== '' && !line.startsWith('#')) ?? '';
      const bytes = await fetch(new URL(segment, entry.media.playlistUrl));
      assert.match(await bytes.text(), /^bytes of/);
    }
    assert.equal((await mutate('deleteMediaVersions', 'file { name }', { file }, stranger)).code, 'NOT_FOUND');
    assert.equal((await mutate('deleteMediaVersions', 'file { name }', { file })).file.name, 'Film.mp4');
    assert.deepEqual(await versions(), []);
  });

  it('gives a film and the archive of its versions through this server only, to whom they are, and charges it', async () => {
    const file = entryAt('/Film.mp4');
    const fields = 'download { url name expiresAt } allowance { used }';
    const download = (kind: string, who = person): Promise<Answer> =>
      mutate('createMediaDownload', fields, { file, kind }, who);
    assert.equal((await download('ORIGINAL')).code, 'NOT_FOUND', 'it was never brought there');
    await mutate('transcodeFile', 'file { name }', { file, quality: '480P' });
    const document = 'query ($f: EntryRef!) { entry(ref: $f) { ... on File { media { versions { state } } } } }';
    for (let looks = 0; looks < 2; looks += 1) await ask(document, { f: file });

    const before = (await ask('{ viewer { downloadAllowance { used } } }')).viewer.downloadAllowance.used;
    fake.settings.packPolls = 99;
    const packing = await download('VERSIONS');
    assert.deepEqual([packing.code, packing.__typename], ['PROVIDER_FAILED', 'ProviderError'], JSON.stringify(packing));
    fake.settings.packPolls = 0;
    const [original, archive] = [await download('ORIGINAL'), await download('VERSIONS')];
    assert.deepEqual([original.allowance.used, archive.allowance.used], [before + 1, before + 2]);
    assert.equal((await download('ORIGINAL', stranger)).code, 'NOT_FOUND');
    assert.equal((await download('VERSIONS', stranger)).code, 'NOT_FOUND');

    const whole = await fetch(original.download.url);
    assert.match(whole.headers.get('content-disposition') ?? '', /^attachment; filename="?Film\.mp4/);
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(fake.bytesAt(user, '/Film.mp4') ?? Buffer.alloc(0)));
    const part = await fetch(original.download.url, { headers: { range: 'bytes=5-9' } });
    assert.deepEqual([part.status, part.headers.get('content-range')], [206, 'bytes 5-9/*']);
    assert.equal((await part.arrayBuffer()).byteLength, 5);

    const { url } = archive.download;
    assert.ok(url.startsWith(`${app.url}/media/`), 'no address of 123pan is given away');
    const zip = await fetch(url);
    const told = JSON.stringify([archive, ...zip.headers]);
    assert.equal(await zip.text(), 'zip of 480P');
    assert.match(zip.headers.get('content-disposition') ?? '', /^attachment; filename="?Film\.zip/);
    const token = fake.requests.findLast(({ role }) => role === 'cdn')?.query.access_token ?? '';
    assert.ok(token.length > 20 && !told.includes(token), 'the token of the link stays here');
    assert.equal((await fetch(url, { method: 'HEAD' })).headers.get('content-type'), 'application/zip');
    const changed = `${url.slice(0, -20)}${url.at(-20) === 'A' ? 'B' : 'A'}${url.slice(-19)}`;
    assert.equal((await fetch(changed)).status, 404);

    const { secret, id } = await createApiKey(app, person.token, ['READ', 'DOWNLOAD']);
    const byKey = await download('VERSIONS', { ...person, token: secret });
    assert.equal((await fetch(byKey.download.url)).status, 200);
    await ask('mutation ($id: ID!) { revokeApiKey(input: { id: $id }) { __typename } }', { id });
    assert.equal((await fetch(byKey.download.url)).status, 404, 'the right ended with the key');
    await mutate('deleteMediaVersions', 'file { name }', { file });
  });

  it('goes on with one new login for all when the token is refused', async () => {
    fake.expireTokens(user);
    const before = fake.logins;
    const listed = await Promise.all([children(), children(), children()]);
    assert.ok(listed.every((nodes) => nodes.length > 0));
    assert.equal(fake.logins, before + 1);
  });

  it('says that its traffic is used up, and what to do', async () => {
    user.trafficLeft = 0;
    const { ticket } = await mutate('createDownloadTicket', 'ticket { url }', { file: entryAt('/Film.mp4') });
    const answer = await fetch(ticket.url);
    assert.ok(answer.status >= 400);
    assert.match(await answer.text(), /traffic/);
    user.trafficLeft = null;
  });

  it('needs its person once the secret is another, and keeps its place', async () => {
    fake.revoke(user);
    const { errors } = await app.graphql(CHILDREN, { id: accountId }, person.token);
    assert.equal(errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
    fake.restore(user);
    const { account } = await mutate('linkWithCredentials', 'account { id status }', credentials());
    assert.deepEqual(account, { id: accountId, status: 'ACTIVE' });
    assert.ok((await children()).length > 0);
  });

  it("is linked on 123pan's page by the operator's application too", async () => {
    const redirectUri = 'http://127.0.0.1/callback';
    const { authorizationUrl, state } = await mutate(
      'startAuthorizationLink',
      'authorizationUrl state',
      {
        provider: 'PAN123',
        redirectUri,
      },
      stranger,
    );
    const page = new URL(authorizationUrl);
    assert.equal(page.pathname, '/auth');
    assert.equal(page.searchParams.get('scope'), 'user:base,file:all:read,file:all:write');
    assert.equal(page.searchParams.get('state'), state);
    const other = fake.createUser({ nickname: 'bob' });
    const code = fake.issueCode(other, redirectUri);
    const linked = await mutate('completeAuthorizationLink', 'account { id label }', { state, code }, stranger);
    assert.equal(linked.account?.label, 'bob', JSON.stringify(linked));
    fake.expireTokens(other);
    await ask(CHILDREN, { id: linked.account.id }, stranger);
    assert.equal(fake.refreshes, 1);
  });

  it('is unlinked, and its files stay', async () => {
    assert.equal((await mutate('unlinkAccount', 'accountId', { accountId })).accountId, accountId);
    assert.ok(fake.entryAt(user, '/Film.mp4'));
  });
});
