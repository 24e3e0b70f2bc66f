import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Pan115Fake, startPan115Fake } from '../../src/drives/pan115/fake/index.ts';
import { systemTimer, type Timer } from '../../src/lib/timer.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type Person, registerUser } from '../support/people.ts';
import { openSse } from '../support/transports.ts';
import { patch, settled, startUpload } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;
type User = ReturnType<Pan115Fake['createUser']>;

const MIB = 1024 * 1024;
const PART_BYTES = 512 * 1024;
const ERROR = '__typename ... on UserError { code message }';
/** What stands beside the payload, where a name may be taken. */
const TAKEN = 'folder { id } } ... on AlreadyExistsError { existing { id }';
const RESULTS = `results { entry { id name path } error { ${ERROR} } }`;
const CHILDREN = `query ($id: ID!) { node(id: $id) { ... on CloudAccount { status root { id children(first: 50, maxAgeSeconds: 0) {
  nodes { id name path ... on File { size category } parent { id } } } } } } }`;

/** The whole server, its rates included, and 115's imitation behind it: nothing between is replaced. */
describe('an account at 115', { timeout: 170_000 }, () => {
  const clock = new ManualClock();
  // What the driver waits for by itself has passed at once, and at 115 too.
  const driveTimer: Timer = {
    ...systemTimer,
    after: (delayMs, task) => {
      clock.advance(delayMs);
      return systemTimer.after(0, task);
    },
  };
  let fake: Pan115Fake;
  let user: User;
  let app: TestApp;
  let person: Person;
  let accountId = '';
  let rootId = '';

  before(async () => {
    fake = await startPan115Fake({ now: () => clock.now().getTime() });
    user = fake.createUser({ name: 'ada', level: '年费VIP', offlineQuota: 500 });
    fake.seedFile(user, '/资料/Report.pdf', 'a report');
    fake.seedFile(user, '/Film.mkv', 'a film', {
      durationSeconds: 61.5,
      width: 1920,
      height: 1080,
      transcoded: true,
      subtitles: [{ language: 'zh', title: '中文', type: 'srt' }],
    });
    app = await startTestApp({
      clock,
      driveTimer,
      settings: {
        PAN115_CLIENT_ID: fake.app.clientId,
        PAN115_CLIENT_SECRET: fake.app.clientSecret,
        PAN115_PASSPORT_URL: fake.urls.passport,
        PAN115_QRCODE_URL: fake.urls.qrcode,
        PAN115_API_URL: fake.urls.api,
        PAN115_OSS_URL: fake.urls.oss,
        PAN115_PART_BYTES: String(PART_BYTES),
        OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
      },
    });
    await app.app.services.offlineFollower.close(); // Nobody asks here but the tests.
    person = await registerUser(app);
  });
  after(async () => {
    await app.close();
    await fake.close();
  });

  const ask = async (document: string, variables: object = {}, who = person): Promise<Answer> => {
    const answer: GraphqlAnswer<Answer> = await app.graphql(document, variables, who.token);
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data;
  };
  const mutate = async (field: string, payload: string, input: object, who = person): Promise<Answer> => {
    const name = field.charAt(0).toUpperCase() + field.slice(1);
    const document = `mutation ($input: ${name}Input!) { result: ${field}(input: $input) { ... on ${name}Payload { ${payload} } ${ERROR} } }`;
    return (await ask(document, { input }, who)).result;
  };
  const at = (path: string): object => ({ path: { accountId, path } });
  const children = async (): Promise<Answer> => (await ask(CHILDREN, { id: accountId })).node.root.children.nodes;
  const poll = async (): Promise<void> => {
    clock.advance(2_500);
    await app.app.services.deviceLinks.look();
  };

  it('is offered, with its ways to link, its abilities and its table of errors', async () => {
    const { providers } = await ask('{ providers { id configured linkMethods abilities errorCodes { code } } }');
    const offered = providers.find(({ id }: Answer) => id === 'PAN115');
    assert.deepEqual(offered.linkMethods, ['DEVICE_CODE', 'AUTHORIZATION_CODE', 'TOKENS']);
    assert.equal(offered.configured, true);
    assert.ok(offered.errorCodes.some(({ code }: Answer) => code === '40140137'));
    for (const ability of [
      ...['LIST', 'LIST_BY_CATEGORY', 'SEARCH_NAME', 'READ', 'CREATE_FOLDER', 'RENAME', 'MOVE', 'COPY', 'DELETE'],
      ...['RECYCLE_LIST', 'RECYCLE_RESTORE', 'RECYCLE_PURGE', 'UPLOAD', 'INSTANT_UPLOAD', 'RESUMABLE_UPLOAD'],
      ...['OFFLINE_ADD', 'OFFLINE_LIST', 'OFFLINE_CANCEL', 'OFFLINE_CLEAR', 'OFFLINE_ALLOWANCE', 'OFFLINE_TORRENT'],
      ...['MEDIA_PLAYLIST', 'MEDIA_INFO', 'MEDIA_PROGRESS', 'TRANSCODE', 'PROVIDER_DIRECT_LINK'],
    ])
      assert.ok(offered.abilities.includes(ability), ability);
    for (const ability of ['SHARE_CREATE', 'SHARE_SAVE', 'SEARCH_SEMANTIC', 'THUMBNAIL'])
      assert.ok(!offered.abilities.includes(ability), ability);
  });

  it('is linked by a picture: waiting, scanned, confirmed', async () => {
    const { deviceLink } = await mutate(
      'startDeviceLink',
      'deviceLink { id state userCode verificationUrl qrCodeDataUri }',
      {
        provider: 'PAN115',
      },
    );
    assert.equal(deviceLink.userCode, null);
    assert.match(deviceLink.qrCodeDataUri, /^data:image\/png/);
    const updates = openSse(app.url, {
      query: `subscription ($id: ID!) { deviceLinkUpdated(id: $id) { state account { id label status } } }`,
      variables: { id: deviceLink.id },
      token: person.token,
    });
    const next = async (): Promise<Answer> => (await updates.next()).value?.data?.deviceLinkUpdated;
    assert.equal((await next()).state, 'PENDING');
    await poll();
    fake.devices.scan();
    await poll();
    assert.equal((await next()).state, 'SCANNED');
    fake.devices.approve(user);
    await poll();
    const linked = await next();
    assert.deepEqual([linked.state, linked.account.label, linked.account.status], ['APPROVED', 'ada', 'ACTIVE']);
    accountId = linked.account.id;
  });

  it('shows its files, by folder, path, kind and search', async () => {
    const { node } = await ask(CHILDREN, { id: accountId });
    rootId = node.root.id;
    assert.deepEqual(
      node.root.children.nodes.map(({ name, path, parent }: Answer) => [name, path, parent.id]),
      [
        ['资料', '/资料', rootId],
        ['Film.mkv', '/Film.mkv', rootId],
      ],
    );
    const { node: found } = await ask(
      `query ($id: ID!) { node(id: $id) { ... on CloudAccount {
        profile { name membership } storage { totalBytes usedBytes freeBytes }
        inside: entry(path: "/资料/Report.pdf") { name path ... on File { size category hashes { algorithm value } } }
        nothing: entry(path: "/资料/none") { name }
        entries(category: VIDEO, first: 5) { nodes { name } } } } }`,
      { id: accountId },
    );
    assert.deepEqual(found.profile, { name: 'ada', membership: '年费VIP' });
    assert.deepEqual(found.storage, { totalBytes: 2 ** 41, usedBytes: 14, freeBytes: 2 ** 41 - 14 });
    assert.equal(found.inside.path, '/资料/Report.pdf');
    assert.deepEqual([found.inside.size, found.inside.hashes[0].algorithm], [8, 'SHA1']);
    assert.equal(found.nothing, null);
    assert.deepEqual(found.entries.nodes, [{ name: 'Film.mkv' }]);
    const { search } = await ask(
      'query { search(query: "report", first: 5) { nodes { name } incomplete { error { message } } } }',
    );
    assert.deepEqual(search, { nodes: [{ name: 'Report.pdf' }], incomplete: [] });
  });

  it('is edited: made, renamed, moved, copied, deleted, given back and purged', async () => {
    const made = await mutate('createFolder', 'folder { id path }', { parent: { id: rootId }, name: 'new' });
    assert.equal(made.folder.path, '/new');
    const taken = await mutate('createFolder', TAKEN, { parent: { id: rootId }, name: 'new' });
    assert.deepEqual([taken.code, taken.existing.id], ['ALREADY_EXISTS', made.folder.id]);
    const renamed = await mutate('renameEntry', 'entry { name }', { entry: { id: made.folder.id }, name: 'newer' });
    assert.equal(renamed.entry.name, 'newer');
    const refused = await mutate('renameEntry', 'entry { name }', { entry: { id: made.folder.id }, name: 'a<b' });
    assert.equal(refused.code, 'INVALID_INPUT');
    // Many of them one after the other: whoever gives a name up goes first, and no two changes of 115 overlap.
    for (const name of ['1', '2']) fake.seedFile(user, `/newer/${name}.txt`, name);
    const entries = [
      { entry: at('/newer/1.txt'), name: '2.txt' },
      { entry: at('/newer/2.txt'), name: '3.txt' },
      { entry: { id: made.folder.id }, name: '..' },
    ];
    const many = await mutate('renameEntries', RESULTS, { entries });
    assert.deepEqual(
      many.results.map(({ entry, error }: Answer) => entry?.name ?? error.code),
      ['2.txt', '3.txt', 'INVALID_INPUT'],
    );
    const copied = await mutate('copyEntries', RESULTS, {
      entries: [at('/资料/Report.pdf')],
      destination: at('/newer'),
    });
    assert.equal(copied.results[0].entry.name, 'Report.pdf', JSON.stringify(copied));
    const moved = await mutate('moveEntries', RESULTS, { entries: [at('/newer')], destination: at('/资料') });
    assert.equal(moved.results[0].entry.path, '/资料/newer');
    const deleted = await mutate('deleteEntries', RESULTS, { entries: [{ id: made.folder.id }] });
    assert.equal(deleted.results[0].error, null);
    const bin = `query ($id: ID!) { node(id: $id) { ... on CloudAccount { recycleBin(first: 5) { nodes { id name deletedAt } } } } }`;
    const [binned] = (await ask(bin, { id: accountId })).node.recycleBin.nodes;
    assert.equal(binned.name, 'newer');
    assert.ok(binned.deletedAt);
    const restored = await mutate('restoreEntries', RESULTS, { ids: [binned.id] });
    assert.equal(restored.results[0].entry.path, '/资料/newer', JSON.stringify(restored));
    await mutate('deleteEntries', RESULTS, { entries: [at('/资料/newer')], permanently: true });
    assert.deepEqual((await ask(bin, { id: accountId })).node.recycleBin.nodes, []);
    assert.deepEqual(fake.paths(user), ['/Film.mkv', '/资料', '/资料/Report.pdf']);
  });

  it('takes an upload in parts, and the second one of the same bytes without any', async () => {
    const bytes = randomBytes(2 * MIB + 5);
    const started = await startUpload(app, person, { parent: { id: rootId }, name: 'a.bin', size: bytes.length });
    assert.equal(started.__typename, 'StartUploadPayload', JSON.stringify(started));
    assert.equal((await patch(started.uploadUrl, 0, bytes)).status, 204);
    const done = await settled(app, person, started.transfer.id);
    assert.deepEqual([done.state, done.error, done.route], ['SUCCEEDED', null, 'SLICED']);
    assert.equal(fake.partsReceived, 5);
    assert.ok(fake.bytesAt(user, '/a.bin')?.equals(bytes));

    const twin = await startUpload(app, person, { parent: { id: rootId }, name: 'twin.bin', size: bytes.length });
    await patch(twin.uploadUrl, 0, bytes);
    const { state, route, error } = await settled(app, person, twin.transfer.id);
    assert.deepEqual([state, route, fake.partsReceived, error], ['SUCCEEDED', 'INSTANT', 5, null]);
  });

  it('gives a download through this server, in whole and in part', async () => {
    const expected = fake.bytesAt(user, '/a.bin') ?? Buffer.alloc(0);
    const { ticket } = await mutate('createDownloadTicket', 'ticket { url mode headers { name } }', {
      file: at('/a.bin'),
    });
    assert.ok(ticket.url.startsWith(app.url), 'no address of 115 is given away');
    const whole = await fetch(ticket.url);
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(expected));
    const part = await fetch(ticket.url, { headers: { range: 'bytes=500000-500999' } });
    assert.equal(part.status, 206);
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(expected.subarray(500_000, 501_000)));
    // Parts cost 115 next to nothing: neither its facts nor an address is asked for with each.
    const before = [fake.count('info'), fake.count('downurl')];
    for (const start of [0, 1000, 2000, 3000, 4000, 5000]) {
      const answer = await fetch(ticket.url, { headers: { range: `bytes=${start}-${start + 999}` } });
      assert.equal((await answer.arrayBuffer()).byteLength, 1000);
    }
    const [facts = 0, addresses = 0] = [
      fake.count('info') - (before[0] ?? 0),
      fake.count('downurl') - (before[1] ?? 0),
    ];
    assert.ok(facts < 6 && addresses === 0, `${facts} questions for facts, ${addresses} for addresses`);
  });

  it('streams a film, with subtitles, and remembers how far it was watched', async () => {
    const saved = await mutate('saveMediaProgress', 'file { name }', { file: at('/Film.mkv'), positionSeconds: 12.4 });
    assert.equal(saved.file.name, 'Film.mkv');
    const { entry } = await ask(
      `query ($ref: EntryRef!) { entry(ref: $ref) { ... on File { media { durationSeconds width height
        playlistUrl subtitles { language format } progress { positionSeconds at } } } } }`,
      { ref: at('/Film.mkv') },
    );
    const { playlistUrl, progress, ...rest } = entry.media;
    assert.match(playlistUrl, /\/4\.m3u8/);
    assert.deepEqual([progress.positionSeconds, typeof progress.at], [12, 'string']);
    assert.deepEqual(rest, {
      durationSeconds: 61.5,
      width: 1920,
      height: 1080,
      subtitles: [{ language: 'zh', format: 'srt' }],
    });
    const pushed = await mutate('transcodeFile', 'file { name }', { file: at('/Film.mkv'), quality: 'vip_push' });
    assert.equal(pushed.file.name, 'Film.mkv');
  });

  it('downloads 200 links by itself, in calls that it accepts, with a result for each', async () => {
    const urls = Array.from({ length: 199 }, (_, index) => `https://files.example/${index}.bin`);
    urls.splice(50, 0, `magnet:?xt=urn:btih:${'ab'.repeat(20)}&dn=x`);
    const { results } = await mutate('addOfflineTasks', `results { url task { id state } error { ${ERROR} } }`, {
      accountId,
      urls,
    });
    assert.deepEqual(
      results.map(({ url, task, error }: Answer) => [url, task?.state, error]),
      urls.map((url) => [url, 'PENDING', null]),
    );
    const calls = fake.requests.filter(({ endpoint }) => endpoint === 'offline.add');
    assert.deepEqual(
      calls.map(({ form }) => (form.urls ?? '').split('\n').length),
      [115, 85],
    );

    // The newest come first in the list.
    const hash = fake.offlineHash(urls.at(-1) ?? '');
    fake.offlineProgress(user, hash, 100);
    const { node } = await ask(
      `query ($id: ID!) { node(id: $id) { ... on CloudAccount { offlineTasks(first: 100) { totalCount nodes { id state url entry { path } } }
        offlineAllowance { total used remaining packages { name expiresAt } } } } }`,
      { id: accountId },
    );
    assert.deepEqual([node.offlineAllowance.total, node.offlineAllowance.used], [500, 200]);
    assert.equal(node.offlineTasks.totalCount, 200);
    const refresh = 'query ($id: ID!) { node(id: $id) { ... on OfflineTask { state entry { path } } } }';
    const { node: task } = await ask(refresh, { id: results.at(-1).task.id });
    assert.deepEqual(task, { state: 'SUCCEEDED', entry: { path: '/198.bin' } });
    const cancelled = await mutate('cancelOfflineTasks', `results { error { ${ERROR} } }`, {
      ids: [results.at(-1).task.id],
      deleteFiles: true,
    });
    assert.deepEqual(cancelled.results, [{ error: null }]);
    assert.equal(fake.entryAt(user, '/198.bin'), null);
    assert.equal((await mutate('clearOfflineTasks', 'ok', { accountId, scope: 'ALL' })).ok, true);
    assert.equal(user.tasks.length, 0);
  });

  it('downloads what a torrent on the drive names, and gives the task where it does so already', async () => {
    const files = [
      { path: 'film.mkv', size: 5000 },
      { path: 'sample.mkv', size: 10 },
    ];
    fake.seedFile(user, '/资料/a.torrent', 'd8:announce', { torrent: { name: 'Feature', files } });
    fake.seedFile(user, '/资料/b.torrent', 'no torrent at all');
    const look = `query ($ref: EntryRef!) { entry(ref: $ref) { ... on File { torrent { name infoHash size files { index path size selected } } } } }`;
    const { torrent } = (await ask(look, { ref: at('/资料/a.torrent') })).entry;
    assert.match(torrent.infoHash, /^[0-9a-f]{40}$/);
    assert.deepEqual(torrent, {
      name: 'Feature',
      infoHash: torrent.infoHash,
      size: 5010,
      files: [
        { index: 0, path: 'film.mkv', size: 5000, selected: true },
        { index: 1, path: 'sample.mkv', size: 10, selected: false },
      ],
    });
    assert.deepEqual((await ask(look, { ref: at('/资料/b.torrent') })).entry, { torrent: null });

    const add = (more: object = {}): Promise<Answer> =>
      mutate('addOfflineTorrent', 'task { id name state url parent { path } }', {
        file: at('/资料/a.torrent'),
        ...more,
      });
    assert.equal((await add({ fileIndexes: [2] })).code, 'INVALID_INPUT');
    assert.equal(fake.count('offline.bt'), 0);
    const { task } = await add({ fileIndexes: [1, 0], destination: at('/资料') });
    assert.deepEqual(
      { ...task, id: null },
      { id: null, name: 'Feature', state: 'PENDING', url: null, parent: { path: '/资料' } },
    );
    const { form } = fake.requests.findLast(({ endpoint }) => endpoint === 'offline.bt') ?? assert.fail();
    assert.deepEqual([form.wanted, form.info_hash], ['0,1', torrent.infoHash]);
    fake.offlineProgress(user, torrent.infoHash, 50);
    const again = await add();
    assert.deepEqual([again.task.id, again.task.state], [task.id, 'RUNNING']);
    assert.equal(user.tasks.length, 1);
    assert.equal((await mutate('clearOfflineTasks', 'ok', { accountId, scope: 'ALL' })).ok, true);
  });

  it('goes on with a new token when the old one is refused, and with one refresh for all', async () => {
    clock.advance(61_000);
    fake.expireTokens(user);
    const before = fake.refreshes;
    const listed = await Promise.all([children(), children(), children()]);
    assert.ok(listed.every((nodes) => nodes.length === 4));
    assert.equal(fake.refreshes, before + 1);
  });

  it('is not refreshed twice within a minute: whoever asks is told when', async () => {
    fake.expireTokens(user);
    const [before, sent] = [fake.refreshes, fake.count('refreshToken')];
    const { errors } = await app.graphql(CHILDREN, { id: accountId }, person.token);
    assert.equal(errors?.[0]?.extensions?.code, 'RATE_LIMITED');
    assert.ok(errors?.[0]?.extensions?.retryAt);
    assert.deepEqual([fake.refreshes, fake.count('refreshToken')], [before, sent]);
    clock.advance(61_000);
    assert.equal((await children()).length, 4);
  });

  it('belongs to its owner alone', async () => {
    const stranger = await registerUser(app);
    assert.equal((await ask(CHILDREN, { id: accountId }, stranger)).node, null);
    const theirs = await mutate('clearOfflineTasks', 'ok', { accountId, scope: 'ALL' }, stranger);
    assert.equal(theirs.code, 'NOT_FOUND');
  });

  it('sends no token again that was refused, while it cannot have another yet', async () => {
    clock.advance(61_000);
    fake.expireTokens(user);
    assert.equal((await children()).length, 4);
    fake.expireTokens(user);
    const asked = () => fake.requests.filter(({ role }) => role === 'api').length;
    const before = asked();
    for (let round = 0; round < 3; round += 1) {
      const { errors } = await app.graphql(CHILDREN, { id: accountId }, person.token);
      assert.equal(errors?.[0]?.extensions?.code, 'RATE_LIMITED');
    }
    assert.equal(asked(), before + 1);
    clock.advance(61_000);
    assert.equal((await children()).length, 4);
  });

  it('stays linked when a refresh did not reach 115, and is tried again later', async () => {
    clock.advance(61_000);
    fake.expireTokens(user);
    fake.faults.inject({ kind: 'cut', phase: 'before', match: { endpoint: 'refreshToken' } });
    const first = await app.graphql(CHILDREN, { id: accountId }, person.token);
    assert.equal(first.errors?.[0]?.extensions?.code, 'PROVIDER_FAILED');
    clock.advance(61_000);
    assert.equal((await children()).length, 4);
  });

  it('needs its person when the answer to a refresh is lost: the token is sent once more, and never again', async () => {
    clock.advance(61_000);
    fake.expireTokens(user);
    fake.loseNextRefreshAnswer();
    const sent = fake.count('refreshToken');
    const first = await app.graphql(CHILDREN, { id: accountId }, person.token);
    assert.equal(first.errors?.[0]?.extensions?.code, 'PROVIDER_FAILED');
    clock.advance(61_000);
    const second = await app.graphql(CHILDREN, { id: accountId }, person.token);
    assert.equal(second.errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
    clock.advance(61_000);
    await app.graphql(CHILDREN, { id: accountId }, person.token);
    assert.equal(fake.count('refreshToken'), sent + 2);
  });

  it('is authorized again by tokens that an app got; and once they are taken back, asks for its person', async () => {
    const give = async (): Promise<void> => {
      const { accessToken, refreshToken } = fake.grant(user);
      const { account } = await mutate('upsertAccountTokens', 'account { id status }', {
        ...{ provider: 'PAN115', accessToken, refreshToken, expiresInSeconds: 7200 },
      });
      assert.deepEqual(account, { id: accountId, status: 'ACTIVE' });
    };
    await give();
    assert.equal((await children()).length, 4);
    fake.revoke(user);
    const sent = fake.count('refreshToken');
    for (let round = 0; round < 3; round += 1) {
      const { errors } = await app.graphql(CHILDREN, { id: accountId }, person.token);
      assert.equal(errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
    }
    assert.equal(fake.count('refreshToken'), sent + 1, 'a dead token is sent once');
    await give();
    assert.equal((await children()).length, 4);
  });

  it('left nothing secret in the log, and did nothing that 115 forbids', () => {
    const log = app.logLines.join('\n');
    for (const { headers, form } of fake.requests) {
      const token = String(headers.authorization ?? '').replace(/^\S+ /, '');
      for (const secret of [token, form.refresh_token, form.client_secret, form.code_verifier])
        if (secret) assert.ok(!log.includes(secret));
    }
    assert.deepEqual(fake.violations, []);
  });
});
