import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { encodeEntryId, encodeGlobalId } from '../../src/graph/ids.ts';
import { newId } from '../../src/lib/ids.ts';
import { LINK_LIFETIME_MAX } from '../../src/services/direct-links.ts';
import { uncancelled } from '../../src/services/entries.ts';
import { User } from '../../src/storage/entities/identity.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DATABASES, type TestStorage } from '../support/databases.ts';
import { type PutFile, purgeFile, putFile } from '../support/files.ts';
import { type Person, registerUser } from '../support/people.ts';

const LINK = 'id url key keyed revoked expiresAt createdAt file { id name }';
const CREATE = `mutation ($input: CreateDirectLinkInput!) {
  createDirectLink(input: $input) {
    __typename
    ... on CreateDirectLinkPayload { link { ${LINK} } }
    ... on UserError { code message }
    ... on InvalidInputError { issues { path message } }
  }
}`;
const REVOKE = `mutation ($input: RevokeDirectLinkInput!) {
  revokeDirectLink(input: $input) {
    __typename ... on RevokeDirectLinkPayload { link { ${LINK} } } ... on UserError { code message }
  }
}`;
const LIST = `query ($first: Int, $after: String, $active: Boolean) {
  viewer { directLinks(first: $first, after: $after, active: $active) { nodes { ${LINK} } pageInfo { hasNextPage endCursor } } }
}`;
const NODE = `query ($id: ID!) { node(id: $id) { __typename ... on DirectLink { ${LINK} } } }`;
const ALLOWANCE = '{ viewer { downloadAllowance { used remaining } } }';
const BYTES = randomBytes(10_000);
const START = new Date('2026-11-20T08:00:00Z');

for (const database of DATABASES) {
  describe(`direct links on ${database.dialect}`, { skip: database.skip, timeout: 120_000 }, () => {
    let opened: TestStorage;
    let server: TestApp;
    let user: Person;
    let report: PutFile;
    let now = START;

    before(async () => {
      opened = await database.open();
      await opened.storage.close(); // The server opens it itself.
      // Behind a proxy, so that each test can come from addresses of its own.
      const settings = { DATABASE_URL: opened.url, DOWNLOAD_LIMIT: '100', TRUST_PROXY: 'true' };
      server = await startTestApp({ settings, clock: { now: () => now } });
      user = await registerUser(server);
      report = await putFile(server, user, '<b>报告<b>.html', BYTES);
    });
    after(async () => {
      await server.close();
      await opened.close();
    });

    // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
    type Answer = any;

    async function ask(document: string, variables: object, person: Person = user): Promise<Answer> {
      const { data, errors } = await server.graphql(document, variables, person.token);
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data;
    }
    const create = async (input: object, person: Person = user): Promise<Answer> =>
      (await ask(CREATE, { input }, person)).createDirectLink;
    const newLink = async (more: object = {}, file = report, person: Person = user): Promise<Answer> =>
      (await create({ file: file.file, ...more }, person)).link;
    const revoke = async (id: string, person: Person = user): Promise<Answer> =>
      (await ask(REVOKE, { input: { id } }, person)).revokeDirectLink;
    const used = async (person: Person): Promise<number> =>
      (await ask(ALLOWANCE, {}, person)).viewer.downloadAllowance.used;

    const get = (url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
      fetch(url, { method, headers });
    const post = (url: string, key: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(url, { method: 'POST', headers, body: new URLSearchParams({ key }) });
    let addresses = 0;
    const newAddress = (): string => {
      addresses += 1;
      return `203.0.${addresses >> 8}.${addresses & 255}`;
    };
    const from = (address: string, key?: string): Record<string, string> => ({
      'x-forwarded-for': address,
      ...(key === undefined ? {} : { 'x-link-key': key }),
    });

    it('a link gives the file to anybody, for a quarter of an hour', async () => {
      const link = await newLink();
      assert.ok(link.url.startsWith(`${server.url}/d/`));
      assert.deepEqual([link.key, link.keyed, link.revoked], [null, false, false]);
      assert.equal(Date.parse(link.expiresAt), now.getTime() + 15 * 60_000);
      assert.equal(link.file.id, report.id);
      const response = await get(link.url);
      assert.equal(response.status, 200);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), BYTES);
      assert.match(response.headers.get('content-disposition') ?? '', /^attachment; filename=/);
      assert.match(response.headers.get('content-security-policy') ?? '', /^sandbox;/);
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
    });

    it('HEAD, ranges and conditions are those of a download', async () => {
      const { url } = await newLink();
      const head = await get(url, {}, 'HEAD');
      assert.equal(head.headers.get('content-length'), '10000');
      const part = await get(url, { range: 'bytes=-10' });
      assert.equal(part.status, 206);
      assert.deepEqual(Buffer.from(await part.arrayBuffer()), BYTES.subarray(-10));
      assert.equal((await get(url, { range: 'bytes=10000-' })).status, 416);
      assert.equal((await get(url, { 'if-none-match': head.headers.get('etag') ?? '' })).status, 304);
      for (const method of ['PUT', 'DELETE', 'PATCH']) {
        const refused = await get(url, {}, method);
        assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'GET, HEAD, POST']);
      }
    });

    it('a link ends with its time, to the second', async () => {
      const { url, id } = await newLink({ lifetimeSeconds: 60 });
      now = new Date(START.getTime() + 59_999);
      assert.equal((await get(url, {}, 'HEAD')).status, 200);
      now = new Date(START.getTime() + 60_000);
      for (const method of ['GET', 'HEAD']) assert.equal((await get(url, {}, method)).status, 410);
      const answer = await get(url);
      assert.match(await answer.text(), /time of this link is over/);
      now = START;
      assert.equal((await ask(NODE, { id })).node.url, url);
    });

    it('a lifetime is from one second to ten years; more is ten years', async () => {
      for (const lifetimeSeconds of [0, -1, -2_147_483_648]) {
        const refused = await create({ file: report.file, lifetimeSeconds });
        assert.deepEqual(refused.issues[0].path, ['input', 'lifetimeSeconds']);
      }
      const longest = await newLink({ lifetimeSeconds: 2_147_483_647 });
      assert.equal(Date.parse(longest.expiresAt), now.getTime() + LINK_LIFETIME_MAX * 1000);
      assert.equal((await get(longest.url, {}, 'HEAD')).status, 200);
    });

    it('a revoked link is dead at once, and only its maker revokes it', async () => {
      const link = await newLink();
      const stranger = await registerUser(server);
      for (const id of [link.id, encodeGlobalId('DirectLink', newId()), 'nonsense', report.id]) {
        assert.equal((await revoke(id, stranger)).__typename, 'NotFoundError');
      }
      assert.equal((await get(link.url, {}, 'HEAD')).status, 200);
      assert.equal((await revoke(link.id)).link.revoked, true);
      const refused = await get(link.url);
      assert.equal(refused.status, 410);
      assert.match(await refused.text(), /withdrawn/);
      assert.equal((await revoke(link.id)).link.revoked, true);
    });

    it('what is no token of ours is 404, whatever it looks like', async () => {
      const { url } = await newLink();
      const token = url.split('/').at(-1);
      const [head, body, signature] = token.split('.');
      const tokens = ['', 'x', 'a.b.c', `${head}.${body}`, `${head}.${body}.`, `${head}.${body}.${'A'.repeat(43)}`];
      tokens.push(
        `${token}x`,
        `${token}/x`,
        `${token}/..`,
        `${head}..${signature}`,
        user.token,
        '%00',
        'A'.repeat(10_000),
      );
      for (const forged of tokens) {
        const refused = await get(`${server.url}/d/${forged}`);
        assert.equal(refused.status, 404, forged.slice(0, 100));
      }
    });

    it('a link is bound to the file: it follows a move, and is dead once the file is gone', async () => {
      const file = await putFile(server, user, 'first name', Buffer.from('first'));
      const { url } = await newLink({}, file);
      const { run, driver } = await server.app.services.accounts.openForUser(user.userId, user.accountRowId);
      const folder = await run('createFolder', driver.rootRef, newId(), uncancelled());
      await run('move', file.entry.ref, folder.ref, { name: 'moved', onConflict: 'FAIL' }, uncancelled());
      assert.equal((await get(url)).headers.get('content-disposition'), 'attachment; filename=moved');
      await putFile(server, user, 'first name', Buffer.from('impostor'));
      assert.equal(await (await get(url)).text(), 'first');

      await run('remove', file.entry.ref, {}, uncancelled());
      assert.equal((await get(url)).status, 404);
      await run('recycleBin.restore', file.entry.ref, uncancelled());
      assert.equal((await get(url)).status, 200);
      await purgeFile(server, user, file);
      await putFile(server, user, 'first name', Buffer.from('recreated'));
      assert.equal((await get(url)).status, 404);
    });

    it('a link is dead while its maker is disabled', async () => {
      const person = await registerUser(server);
      const { url } = await newLink({}, await putFile(server, person, 'a', Buffer.from('a')), person);
      const disable = (disabledAt: Date | null) =>
        server.app.storage.fork().nativeUpdate(User, { id: person.userId }, { disabledAt });
      await disable(now);
      assert.equal((await get(url)).status, 404);
      await disable(null);
      assert.equal((await get(url)).status, 200);
    });

    it('only files that one may see can be linked', async () => {
      const stranger = await registerUser(server);
      const faults: readonly (readonly [object, string])[] = [
        [report.file, 'NotFoundError'],
        [{ id: encodeEntryId('FILE', stranger.accountRowId, newId()) }, 'NotFoundError'],
        [{ path: { accountId: user.accountId, path: '/x' } }, 'NotFoundError'],
        [{ path: { accountId: stranger.accountId, path: '/' } }, 'InvalidInputError'],
      ];
      for (const [file, expected] of faults) assert.equal((await create({ file }, stranger)).__typename, expected);
      const { data, errors } = await server.graphql(CREATE, { input: { file: report.file } });
      assert.deepEqual([data ?? null, errors?.[0]?.extensions?.code], [null, 'UNAUTHENTICATED']);
    });

    it('an own key opens the link, by header or by the form, and nothing else does', async () => {
      const link = await newLink({ key: 'schlüssel 钥匙' });
      assert.deepEqual([link.key, link.keyed], ['schlüssel 钥匙', true]);
      const header = Buffer.from('schlüssel 钥匙').toString('latin1');
      const address = newAddress();
      assert.equal((await get(link.url, from(address))).status, 401);
      assert.equal((await get(link.url, from(address, 'wrong'))).status, 403);
      assert.equal((await get(link.url, from(address, ''))).status, 403);
      assert.equal((await get(`${link.url}?key=${encodeURIComponent('schlüssel 钥匙')}`, from(address))).status, 401);
      assert.equal((await get(link.url, from(address, header))).status, 200);
      assert.equal((await post(link.url, 'schlüssel 钥匙', from(address))).status, 200);
      assert.equal((await post(link.url, 'Schlüssel 钥匙', from(address))).status, 403);
      assert.equal((await get(link.url, from(address, header), 'HEAD')).status, 200);
      const part = await get(link.url, { ...from(address, header), range: 'bytes=0-9' });
      assert.deepEqual(Buffer.from(await part.arrayBuffer()), BYTES.subarray(0, 10));
    });

    it('a random key is shown once, and goes before nothing but an own key', async () => {
      const link = await newLink({ randomKey: true });
      assert.match(link.key, /^[2-9A-HJ-NP-Z]{8}$/);
      assert.equal((await get(link.url, from(newAddress(), link.key))).status, 200);
      assert.deepEqual((await ask(NODE, { id: link.id })).node.key, null);
      assert.equal((await newLink({ randomKey: true, key: 'mine!' })).key, 'mine!');
      assert.equal((await newLink({ randomKey: false })).keyed, false);
      assert.notEqual((await newLink({ randomKey: true })).key, link.key);
    });

    it('a key that cannot be one is refused', async () => {
      for (const key of ['', 'abc', 'x'.repeat(129), ' abcd', 'abcd ', 'ab\ncd', 'ab\0cd']) {
        const refused = await create({ file: report.file, key });
        assert.deepEqual(refused.issues?.[0].path, ['input', 'key'], JSON.stringify(key));
      }
    });

    it('wrong keys are limited for each address, and then the right one waits too; elsewhere it opens', async () => {
      const link = await newLink({ key: 'open sesame' });
      const [guesser, reader] = [newAddress(), newAddress()];
      const statuses = await Promise.all(
        Array.from({ length: 20 }, async (_, guess) => (await get(link.url, from(guesser, `guess ${guess}`))).status),
      );
      assert.deepEqual(statuses.toSorted(), [...Array<number>(10).fill(403), ...Array<number>(10).fill(429)]);
      const waiting = await get(link.url, from(guesser, 'open sesame'));
      assert.equal(waiting.status, 429);
      const seconds = Number(waiting.headers.get('retry-after'));
      assert.ok(seconds > 0 && seconds <= 15 * 60, `${seconds}`);
      assert.equal((await post(link.url, 'open sesame', from(guesser))).status, 429);
      assert.equal((await get(link.url, from(reader, 'open sesame'))).status, 200);
    });

    it('a guesser with many addresses is limited too, but not who has shown the right key', async () => {
      const link = await newLink({ key: 'open sesame' });
      const reader = newAddress();
      assert.equal((await get(link.url, from(reader, 'open sesame'))).status, 200);
      const statuses: number[] = [];
      for (let guess = 0; guess < 40; guess += 1) {
        statuses.push((await get(link.url, from(newAddress(), `guess ${guess}`))).status);
      }
      assert.equal(statuses.filter((status) => status === 403).length, 30);
      assert.equal(statuses.at(-1), 429);
      assert.equal((await get(link.url, from(reader, 'open sesame'))).status, 200);
      assert.equal((await get((await newLink({ key: 'another' })).url, from(reader, 'another'))).status, 200);
    });

    it('the addresses of one IPv6 customer are one guesser', async () => {
      const link = await newLink({ key: 'open sesame' });
      const statuses: number[] = [];
      for (let guess = 0; guess < 12; guess += 1) {
        statuses.push((await get(link.url, from(`2001:db8:1:2::${guess.toString(16)}`, `guess ${guess}`))).status);
      }
      assert.deepEqual(statuses.slice(10), [429, 429]);
    });

    it('right keys are not limited: many parts at once, again and again', async () => {
      const link = await newLink({ key: 'open sesame' });
      const address = newAddress();
      for (let round = 0; round < 3; round += 1) {
        const answers = await Promise.all(
          Array.from({ length: 16 }, () => get(link.url, { ...from(address, 'open sesame'), range: 'bytes=0-0' })),
        );
        assert.deepEqual([...new Set(answers.map(({ status }) => status))], [206]);
      }
    });

    it('a browser is asked for the key by a page without scripts, that names nothing', async () => {
      const link = await newLink({ key: 'open sesame' });
      const browser = { ...from(newAddress()), accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' };
      const asked = await get(link.url, browser);
      const page = await asked.text();
      assert.equal(asked.status, 401);
      assert.equal(asked.headers.get('content-type'), 'text/html; charset=utf-8');
      assert.equal(asked.headers.get('cache-control'), 'no-store');
      assert.equal(asked.headers.get('referrer-policy'), 'no-referrer');
      const policy = asked.headers.get('content-security-policy') ?? '';
      assert.match(policy, /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/);
      assert.doesNotMatch(policy, /script|unsafe/);
      assert.match(page, /<form method="post">/);
      assert.doesNotMatch(page, /报告|<script|https?:|eyJ/);
      assert.equal((await get(link.url, browser, 'HEAD')).status, 401);

      const wrong = await post(link.url, '"><script>alert(1)</script>', browser);
      assert.equal(wrong.status, 403);
      const again = await wrong.text();
      assert.match(again, /<form method="post">/);
      assert.doesNotMatch(again, /<script|alert/);

      const right = await post(link.url, 'open sesame', browser);
      assert.equal(right.status, 200);
      assert.match(right.headers.get('content-disposition') ?? '', /^attachment;/);
      assert.deepEqual(Buffer.from(await right.arrayBuffer()), BYTES);

      const gone = await get(`${server.url}/d/nothing`, browser);
      assert.deepEqual([gone.status, gone.headers.get('content-type')], [404, 'text/html; charset=utf-8']);
      assert.doesNotMatch(await gone.text(), /<form/);
    });

    it('a form that is none is refused', async () => {
      const { url } = await newLink({ key: 'open sesame' });
      const send = (body: string, type: string) =>
        fetch(url, { method: 'POST', headers: { 'content-type': type, ...from(newAddress()) }, body });
      assert.equal((await send('{"key":"open sesame"}', 'application/json')).status, 400);
      assert.equal((await send('other=field', 'application/x-www-form-urlencoded')).status, 401);
      assert.equal((await send(`key=${'x'.repeat(5000)}`, 'application/x-www-form-urlencoded')).status, 413);
      assert.equal((await send('key=%ff%fe', 'application/x-www-form-urlencoded')).status, 403);
    });

    it('a link is charged to its maker once on each day on which it is used', async () => {
      const person = await registerUser(server);
      const file = await putFile(server, person, 'a', Buffer.from('bytes'));
      const { url } = await newLink({ lifetimeSeconds: 7 * 86_400 }, file, person);
      assert.equal(await used(person), 0);
      assert.equal((await get(url, {}, 'HEAD')).status, 200);
      assert.equal((await get(url, { range: 'bytes=9-' })).status, 416);
      assert.equal(await used(person), 0);
      await Promise.all(Array.from({ length: 20 }, async () => (await get(url, { range: 'bytes=1-' })).arrayBuffer()));
      assert.equal(await used(person), 1);
      now = new Date('2026-11-21T08:00:00Z');
      assert.equal((await get(url)).status, 200);
      now = START;
    });

    it('a link of somebody whose allowance is used up waits for the next day', async () => {
      const person = await registerUser(server);
      const file = await putFile(server, person, 'a', Buffer.from('bytes'));
      const [first, second] = [
        await newLink({ lifetimeSeconds: 86_400 }, file, person),
        await newLink({ lifetimeSeconds: 86_400 }, file, person),
      ];
      await server.app.storage.fork().nativeUpdate(User, { id: person.userId }, { downloadLimit: 1 });
      assert.equal((await get(first.url)).status, 200);
      const refused = await get(second.url);
      assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, String(16 * 3600)]);
      assert.match(await refused.text(), /owner of this link has no downloads left today/);
      assert.equal((await get(first.url)).status, 200);
      assert.equal(await used(person), 1);
      now = new Date('2026-11-21T00:00:00Z');
      assert.equal((await get(second.url)).status, 200);
      now = START;
    });

    it('the list shows the own links, newest first, by page and by whether they work', async () => {
      const person = await registerUser(server);
      const file = await putFile(server, person, 'a', Buffer.from('a'));
      const links: { id: string }[] = [];
      for (let count = 0; count < 5; count += 1)
        links.push(await newLink({ lifetimeSeconds: 60 + count }, file, person));
      await revoke(links[1]?.id ?? '', person);
      const list = async (variables: object, who = person) => (await ask(LIST, variables, who)).viewer.directLinks;
      const ids = (page: Answer): string[] =>
        page.nodes.map((node: Answer) => links.findIndex(({ id }) => id === node.id));
      const first = await list({ first: 2 });
      assert.deepEqual([ids(first), first.pageInfo.hasNextPage], [[4, 3], true]);
      assert.deepEqual(ids(await list({ first: 50, after: first.pageInfo.endCursor })), [2, 1, 0]);
      assert.deepEqual(ids(await list({ active: true })), [4, 3, 2, 0]);
      assert.deepEqual(ids(await list({ active: false })), [1]);
      now = new Date(START.getTime() + 60_000);
      assert.deepEqual(ids(await list({ active: false })), [1, 0]);
      now = START;
      const bad = await server.graphql(LIST, { after: 'nonsense' }, person.token);
      assert.equal(bad.errors?.[0]?.extensions?.code, 'INVALID_INPUT');

      const other = await registerUser(server);
      assert.deepEqual((await list({}, other)).nodes, []);
      const [some] = links;
      assert.deepEqual((await ask(NODE, { id: some?.id }, other)).node, null);
      assert.equal((await ask(NODE, { id: some?.id }, person)).node.id, some?.id);
      const admin = await server.graphql(
        'query ($id: ID!) { node(id: $id) { ... on User { username directLinks { nodes { id } } } } }',
        { id: encodeGlobalId('User', person.userId) },
        user.token,
      );
      assert.deepEqual(admin.data?.node, { username: person.username, directLinks: null });
    });

    it('a link whose file is gone is listed without it', async () => {
      const file = await putFile(server, user, 'gone', Buffer.from('x'));
      const link = await newLink({}, file);
      await purgeFile(server, user, file);
      assert.equal((await ask(NODE, { id: link.id })).node.file, null);
    });

    it('links that ended are swept after a month', async () => {
      const link = await newLink({ lifetimeSeconds: 60 });
      const long = await newLink({ lifetimeSeconds: 86_400 * 365 });
      now = new Date(START.getTime() + 31 * 86_400_000);
      await server.app.services.directLinks.sweep();
      const node = (id: string) => server.app.services.directLinks.findMany({ userId: user.userId } as never, [id]);
      const rowId = (id: string) => Buffer.from(id, 'base64url').toString().split(':')[1] ?? '';
      assert.deepEqual(await node(rowId(link.id)), [null]);
      assert.equal((await get(link.url)).status, 410);
      assert.equal((await node(rowId(long.id))).length, 1);
      assert.equal((await get(long.url)).status, 200);
      now = START;
    });

    describe('saving', () => {
      const SAVE = `mutation ($input: SaveDirectLinkInput!) {
        saveDirectLink(input: $input) {
          __typename
          ... on SaveDirectLinkPayload { transfer { id kind state route bytesTotal bytesDone name entry { id name size } } }
          ... on UserError { code message retryAt }
          ... on InvalidInputError { issues { path } }
          ... on AlreadyExistsError { existing { name } }
        }
      }`;
      let saver: Person;
      let linkUrl: string;
      const save = async (input: object, person = saver, address = newAddress()): Promise<Answer> => {
        const response = await fetch(`${server.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${person.token}`, ...from(address) },
          body: JSON.stringify({ query: SAVE, variables: { input } }),
        });
        const { data, errors } = (await response.json()) as Answer;
        assert.equal(errors, undefined, JSON.stringify(errors));
        return data.saveDirectLink;
      };
      const rootOf = (person: Person) => ({ path: { accountId: person.accountId, path: '/' } });
      const countOf = async (hash: string | undefined): Promise<number> => {
        const rows = await server.app.storage
          .fork()
          .execute<{ reference_count: number }[]>('select reference_count from blobs where sha256 = ?', [hash]);
        return rows[0]?.reference_count ?? 0;
      };

      before(async () => {
        saver = await registerUser(server);
        linkUrl = (await newLink({ lifetimeSeconds: 86_400 })).url;
      });

      it('makes a copy that is the saver’s own, without moving a byte', async () => {
        const [count, charged] = [await countOf(report.entry.hashes.SHA256), await used(user)];
        const { transfer } = await save({ url: linkUrl, parent: rootOf(saver) });
        const { kind, state, route, bytesTotal, bytesDone, entry } = transfer;
        assert.deepEqual(
          { kind, state, route, bytesTotal, bytesDone },
          { kind: 'COPY', state: 'SUCCEEDED', route: 'SERVER_SIDE', bytesTotal: 10_000, bytesDone: 10_000 },
        );
        assert.equal(entry.name, report.entry.name);
        assert.equal(await countOf(report.entry.hashes.SHA256), count + 1);
        assert.equal(await used(user), charged);
        const copy = await newLink({}, { ...report, file: { id: entry.id } }, saver);
        assert.deepEqual(Buffer.from(await (await get(copy.url)).arrayBuffer()), BYTES);
      });

      it('the copy stays when the link and its file are gone', async () => {
        const file = await putFile(server, user, 'short-lived', Buffer.from('kept'));
        const link = await newLink({}, file);
        const { transfer } = await save({ url: link.url, parent: rootOf(saver), name: 'kept.txt' });
        await revoke(link.id);
        await purgeFile(server, user, file);
        const copy = await newLink({}, { ...file, file: { id: transfer.entry.id } }, saver);
        assert.equal(await (await get(copy.url)).text(), 'kept');
      });

      it('a taken name is refused with what has it, or handled as asked', async () => {
        const name = 'taken.txt';
        const first = await save({ url: linkUrl, parent: rootOf(saver), name });
        const refused = await save({ url: linkUrl, parent: rootOf(saver), name });
        assert.deepEqual([refused.__typename, refused.existing.name], ['AlreadyExistsError', name]);
        const renamed = await save({ url: linkUrl, parent: rootOf(saver), name, onConflict: 'RENAME' });
        assert.equal(renamed.transfer.entry.name, 'taken (2).txt');
        const replaced = await save({ url: linkUrl, parent: rootOf(saver), name, onConflict: 'REPLACE' });
        assert.equal(replaced.transfer.entry.id, first.transfer.entry.id);
      });

      it('a repeated request saves once', async () => {
        const input = { url: linkUrl, parent: rootOf(saver), name: 'once.txt', idempotencyKey: newId() };
        const answers = await Promise.all(Array.from({ length: 10 }, () => save(input)));
        assert.deepEqual([...new Set(answers.map(({ __typename }) => __typename))], ['SaveDirectLinkPayload']);
        assert.equal(new Set(answers.map(({ transfer }) => transfer.entry.id)).size, 1);
        assert.equal(new Set(answers.map(({ transfer }) => transfer.id)).size, 1);
        assert.equal((await save({ ...input, name: 'other.txt' })).__typename, 'ConflictError');
      });

      it('needs the key of a link that has one, and limits guesses as the link does', async () => {
        const { url } = await newLink({ key: 'open sesame' });
        const address = newAddress();
        const wish = { url, parent: rootOf(saver), name: 'keyed.txt' };
        assert.deepEqual((await save(wish, saver, address)).issues[0].path, ['input', 'key']);
        const statuses: string[] = [];
        for (let guess = 0; guess < 11; guess += 1) {
          statuses.push((await save({ ...wish, key: `guess ${guess}` }, saver, address)).__typename);
        }
        assert.deepEqual(statuses, [...Array<string>(10).fill('PermissionDeniedError'), 'RateLimitedError']);
        assert.equal((await get(url, from(address, 'open sesame'))).status, 429);
        assert.equal((await save({ ...wish, key: 'open sesame' })).__typename, 'SaveDirectLinkPayload');
      });

      it('what is no link of ours, or none any more, saves nothing', async () => {
        const revoked = await newLink();
        await revoke(revoked.id);
        const expired = await newLink({ lifetimeSeconds: 1 });
        const gone = await putFile(server, user, 'gone', Buffer.from('x'));
        const dangling = await newLink({}, gone);
        await purgeFile(server, user, gone);
        const cases: readonly (readonly [string, string])[] = [
          ['', 'InvalidInputError'],
          ['http://10.0.0.1/d/x.y.z', 'InvalidInputError'],
          ['not an address', 'InvalidInputError'],
          ['file:///etc/passwd', 'InvalidInputError'],
          [`${server.url}/d/`, 'NotFoundError'],
          [`${server.url}/d/x.y.z`, 'NotFoundError'],
          [`${server.url}/d/${user.token}`, 'NotFoundError'],
          [revoked.url, 'NotFoundError'],
          [expired.url, 'NotFoundError'],
          [dangling.url, 'NotFoundError'],
        ];
        now = new Date(START.getTime() + 2_000);
        for (const [url, expected] of cases) {
          assert.equal((await save({ url, parent: rootOf(saver) })).__typename, expected, url);
        }
        now = START;
      });

      it('saves only into a folder that is the saver’s to see', async () => {
        const place = { url: linkUrl, name: 'x' };
        assert.equal((await save({ ...place, parent: rootOf(user) })).__typename, 'NotFoundError');
        const stranger = { id: encodeEntryId('FOLDER', user.accountRowId, user.accountRowId) };
        assert.equal((await save({ ...place, parent: stranger })).__typename, 'NotFoundError');
        const own = await putFile(server, saver, 'a file', Buffer.from('x'));
        assert.equal((await save({ ...place, parent: own.file })).__typename, 'InvalidInputError');
        for (const name of ['..', 'a/b', '', 'x\0']) {
          const refused = await save({ url: linkUrl, parent: rootOf(saver), name });
          assert.deepEqual(refused.issues?.[0].path, ['input', 'name'], JSON.stringify(name));
        }
      });

      it('the host of the address does not matter, its signature does', async () => {
        const elsewhere = linkUrl.replace(server.url, 'https://drive.example.org/panql');
        const { __typename } = await save({ url: elsewhere, parent: rootOf(saver), name: 'by another name' });
        assert.equal(__typename, 'SaveDirectLinkPayload');
      });
    });

    it('no key and no token of a link stands in the log or the database', async () => {
      const link = await newLink({ key: 'canary-key-4711' });
      await get(link.url, from(newAddress(), 'canary-key-4711'));
      await post(link.url, 'canary-key-4711', from(newAddress()));
      await get(link.url, from(newAddress(), 'canary-key-wrong'));
      const token = link.url.split('/').at(-1);
      for (const secret of ['canary-key', token]) {
        assert.equal(
          server.logLines.some((line) => line.includes(secret)),
          false,
        );
        for (const table of ['direct_links', 'audit_records', 'idempotency_records']) {
          const rows = await server.app.storage.fork().execute(`select * from ${table}`);
          assert.equal(JSON.stringify(rows).includes(secret), false, table);
        }
      }
    });
  });
}
