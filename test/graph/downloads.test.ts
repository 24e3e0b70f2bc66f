import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readlink, truncate } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { encodeEntryId, encodeGlobalId } from '../../src/graph/ids.ts';
import { newId } from '../../src/lib/ids.ts';
import { TICKET_MS } from '../../src/services/downloads.ts';
import { uncancelled } from '../../src/services/entries.ts';
import { User } from '../../src/storage/entities/identity.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DATABASES, type TestStorage } from '../support/databases.ts';
import { type PutFile, purgeFile, putFile } from '../support/files.ts';
import { type Person, registerUser } from '../support/people.ts';

const CREATE = `mutation ($input: CreateDownloadTicketInput!) {
  createDownloadTicket(input: $input) {
    __typename
    ... on CreateDownloadTicketPayload { ticket { url mode expiresAt headers { name value } } allowance { limit used remaining resetsAt } }
    ... on UserError { code message retryable retryAt }
    ... on AllowanceExceededError { allowance { limit used remaining resetsAt } }
  }
}`;
const ALLOWANCE = '{ viewer { downloadAllowance { limit used remaining resetsAt } } }';
const BYTES = randomBytes(100_000);

for (const database of DATABASES) {
  describe(`downloads on ${database.dialect}`, { skip: database.skip, timeout: 120_000 }, () => {
    let opened: TestStorage;
    let server: TestApp;
    let admin: Person;
    let user: Person;
    let report: PutFile;
    let now = new Date('2026-11-20T08:00:00Z');

    before(async () => {
      opened = await database.open();
      await opened.storage.close(); // The server opens it itself.
      const settings = { DATABASE_URL: opened.url, DOWNLOAD_LIMIT: '1000', CORS_ORIGINS: 'https://app.example' };
      server = await startTestApp({ settings, clock: { now: () => now } });
      admin = await registerUser(server);
      user = await registerUser(server);
      report = await putFile(server, user, '报告 "1".txt', BYTES);
    });
    after(async () => {
      await server.close();
      await opened.close();
    });

    // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
    async function create(person: Person, input: object): Promise<any> {
      const { data, errors } = await server.graphql(CREATE, { input }, person.token);
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data.createDownloadTicket;
    }

    async function newTicket(person: Person, file: PutFile, more: object = {}): Promise<string> {
      const { ticket } = await create(person, { file: file.file, ...more });
      return ticket.url;
    }

    const used = async (person: Person): Promise<number> => {
      const { data } = await server.graphql(ALLOWANCE, {}, person.token);
      return data.viewer.downloadAllowance.used;
    };

    const get = (url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
      fetch(url, { method, headers });

    it('a ticket gives the bytes, as often as needed, for one charge', async () => {
      const before = await used(user);
      const { ticket, allowance } = await create(user, { file: report.file });
      assert.ok(ticket.url.startsWith(`${server.url}/content/`));
      assert.deepEqual([ticket.mode, ticket.headers], ['PROXY', []]);
      assert.equal(Date.parse(ticket.expiresAt), now.getTime() + TICKET_MS);
      assert.equal(allowance.used, before + 1);
      for (let times = 0; times < 3; times += 1) {
        const response = await get(ticket.url);
        assert.equal(response.status, 200);
        assert.deepEqual(Buffer.from(await response.arrayBuffer()), BYTES);
        assert.equal(response.headers.get('etag'), `"${report.entry.hashes.SHA256}"`);
        assert.match(response.headers.get('content-disposition') ?? '', /^attachment; filename=.*filename\*=UTF-8''/);
        assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8');
        assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
        assert.match(response.headers.get('content-security-policy') ?? '', /^sandbox;/);
      }
      assert.equal((await get(ticket.url, {}, 'HEAD')).headers.get('content-length'), String(BYTES.length));
      assert.equal(await used(user), before + 1);
    });

    it('parts are the parts of the file', async () => {
      const url = await newTicket(user, report);
      const spans: readonly (readonly [string, number, number])[] = [
        ['bytes=0-0', 0, 1],
        ['bytes=99999-', 99_999, 100_000],
        ['bytes=-1000', 99_000, 100_000],
        ['bytes=65535-65537', 65_535, 65_538],
        ['bytes=50000-999999', 50_000, 100_000],
      ];
      for (const [range, start, end] of spans) {
        const response = await get(url, { range });
        assert.equal(response.status, 206);
        assert.deepEqual(Buffer.from(await response.arrayBuffer()), BYTES.subarray(start, end), range);
      }
      assert.equal((await get(url, { range: 'bytes=100000-' })).status, 416);
    });

    it('REDIRECT falls back to the way there is, and inline is not an attachment', async () => {
      const { ticket } = await create(user, { file: report.file, mode: 'REDIRECT', attachment: false });
      assert.equal(ticket.mode, 'PROXY');
      const response = await get(ticket.url);
      assert.match(response.headers.get('content-disposition') ?? '', /^inline;/);
      assert.match(response.headers.get('content-security-policy') ?? '', /^sandbox;/);
      await response.arrayBuffer();
    });

    it('an empty file is downloaded', async () => {
      const url = await newTicket(user, await putFile(server, user, 'empty', new Uint8Array()));
      const response = await get(url);
      assert.deepEqual([response.status, response.headers.get('content-length')], [200, '0']);
      assert.equal((await response.arrayBuffer()).byteLength, 0);
    });

    it('a file that changed meanwhile is not resumed, but begun again', async () => {
      const file = await putFile(server, user, 'draft', Buffer.from('first draft'));
      const url = await newTicket(user, file);
      const etag = (await get(url, {}, 'HEAD')).headers.get('etag') ?? '';
      const resume = { range: 'bytes=6-', 'if-range': etag };
      assert.equal(await (await get(url, resume)).text(), 'draft');
      await putFile(server, user, 'draft', Buffer.from('second draft'));
      const changed = await get(url, resume);
      assert.deepEqual([changed.status, await changed.text()], [200, 'second draft']);
      assert.equal((await get(url, { 'if-match': etag })).status, 412);
      assert.equal((await get(url, { 'if-none-match': etag })).status, 200);
    });

    it('a ticket follows a rename, and ends with the file', async () => {
      const file = await putFile(server, user, 'old name', Buffer.from('text'));
      const url = await newTicket(user, file);
      const { run } = await server.app.services.accounts.openForUser(user.userId, user.accountRowId);
      await run('rename', file.entry.ref, 'new name', {}, uncancelled());
      const renamed = await get(url);
      assert.equal(renamed.headers.get('content-disposition'), 'attachment; filename="new name"');
      await renamed.arrayBuffer();
      await run('remove', file.entry.ref, {}, uncancelled());
      assert.equal((await get(url)).status, 404);
      await putFile(server, user, 'new name', Buffer.from('another file'));
      assert.equal((await get(url)).status, 404);
    });

    it('what cannot be downloaded charges nothing', async () => {
      const stranger = await registerUser(server);
      const before = await used(stranger);
      const gone = await putFile(server, stranger, 'gone', Buffer.from('x'));
      await purgeFile(server, stranger, gone);
      const faults: readonly (readonly [object, string])[] = [
        [report.file, 'NotFoundError'],
        [gone.file, 'NotFoundError'],
        [{ id: encodeEntryId('FILE', stranger.accountRowId, newId()) }, 'NotFoundError'],
        [{ id: encodeEntryId('FILE', newId(), newId()) }, 'NotFoundError'],
        [{ id: 'nonsense' }, 'NotFoundError'],
        [{ id: encodeEntryId('FOLDER', stranger.accountRowId, stranger.accountRowId) }, 'InvalidInputError'],
        [{ path: { accountId: stranger.accountId, path: '/' } }, 'InvalidInputError'],
        [{ path: { accountId: stranger.accountId, path: '/missing' } }, 'NotFoundError'],
        [{ path: { accountId: stranger.accountId, path: '/../secret' } }, 'InvalidInputError'],
        [{ path: { accountId: user.accountId, path: `/${report.entry.name}` } }, 'NotFoundError'],
      ];
      const messages = new Set<string>();
      for (const [file, expected] of faults) {
        const answer = await create(stranger, { file });
        assert.equal(answer.__typename, expected, JSON.stringify(file));
        if (expected === 'NotFoundError') messages.add(answer.message);
      }
      assert.equal(messages.size, 1, 'unknown and not yours are told alike');
      assert.equal(await used(stranger), before);
    });

    it('tokens that are none are 404, whatever they look like', async () => {
      const tokens = [
        '',
        'x',
        'A'.repeat(43),
        'A'.repeat(44),
        '..%2f..%2fetc%2fpasswd',
        '%00',
        '../../etc/passwd',
        "' or 1=1",
      ];
      for (const token of tokens) {
        const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
        socket.write(`GET /content/${token.replaceAll(' ', '%20')} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
        let text = '';
        for await (const chunk of socket) text += chunk;
        assert.match(text, /^HTTP\/1\.1 404 /, token);
        assert.match(text, /"code":"NOT_FOUND"/);
        assert.match(text, /cache-control: no-store/i);
      }
    });

    it('other methods are refused, naming those that work', async () => {
      const url = await newTicket(user, report);
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const response = await get(url, {}, method);
        assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET, HEAD'], method);
      }
    });

    it('pages of allowed origins may read the answer, others may not', async () => {
      const url = await newTicket(user, report);
      const allowed = await get(url, { origin: 'https://app.example' }, 'HEAD');
      assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example');
      assert.match(allowed.headers.get('access-control-expose-headers') ?? '', /content-range/);
      const other = await get(url, { origin: 'https://evil.example' }, 'HEAD');
      assert.equal(other.headers.get('access-control-allow-origin'), null);
      const asked = { origin: 'https://app.example', 'access-control-request-method': 'GET' };
      const leave = await get(url, { ...asked, 'access-control-request-headers': 'if-range' }, 'OPTIONS');
      assert.equal(leave.status, 204);
      assert.match(leave.headers.get('access-control-allow-headers') ?? '', /if-range/);
    });

    it('a ticket ends with its hour', async () => {
      const url = await newTicket(user, report);
      const start = now;
      now = new Date(start.getTime() + TICKET_MS - 1);
      assert.equal((await get(url, {}, 'HEAD')).status, 200);
      now = new Date(start.getTime() + TICKET_MS);
      assert.equal((await get(url, {}, 'HEAD')).status, 404);
      await server.app.services.downloads.sweep();
      now = start;
      assert.equal((await get(url, {}, 'HEAD')).status, 404);
    });

    it('a ticket ends with the session that asked for it, and another session keeps its own', async () => {
      const person = await registerUser(server);
      const file = await putFile(server, person, 'a', Buffer.from('a'));
      const url = await newTicket(person, file);
      const login = await server.graphql(
        `mutation ($input: LoginInput!) { login(input: $input) { ... on LoginPayload { session { accessToken } } } }`,
        { input: { username: person.username, password: person.password } },
      );
      const other = { ...person, token: login.data.login.session.accessToken };
      const otherUrl = await newTicket(other, file);
      await server.graphql(
        'mutation { logout(input: {}) { ... on LogoutPayload { ok } ... on UserError { message } } }',
        {},
        person.token,
      );
      assert.equal((await get(url)).status, 404);
      assert.equal((await get(otherUrl)).status, 200);
    });

    it('a ticket ends when its user is disabled', async () => {
      const person = await registerUser(server);
      const url = await newTicket(person, await putFile(server, person, 'a', Buffer.from('a')));
      const disabled = { disabledAt: now as Date | null };
      await server.app.storage.fork().nativeUpdate(User, { id: person.userId }, disabled);
      assert.equal((await get(url)).status, 404);
      await server.app.storage.fork().nativeUpdate(User, { id: person.userId }, { disabledAt: null });
      assert.equal((await get(url)).status, 200);
    });

    it('nobody gets a ticket without signing in', async () => {
      const { data, errors } = await server.graphql(CREATE, { input: { file: report.file } });
      assert.equal(data ?? null, null);
      assert.equal(errors?.[0]?.extensions?.code, 'UNAUTHENTICATED');
    });

    it('a hundred tickets at once at a limit of ten are exactly ten', async () => {
      const person = await registerUser(server);
      const file = await putFile(server, person, 'a', Buffer.from('a'));
      await server.app.storage.fork().nativeUpdate(User, { id: person.userId }, { downloadLimit: 10 });
      const answers = await Promise.all(Array.from({ length: 100 }, () => create(person, { file: file.file })));
      const tickets = answers.filter(({ __typename }) => __typename === 'CreateDownloadTicketPayload');
      assert.equal(tickets.length, 10);
      assert.deepEqual(tickets.map(({ allowance }) => allowance.remaining).sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      const refused = answers.filter(({ __typename }) => __typename === 'AllowanceExceededError');
      assert.equal(refused.length, 90);
      const [first] = refused;
      assert.deepEqual(first.allowance, { limit: 10, used: 10, remaining: 0, resetsAt: '2026-11-21T00:00:00.000Z' });
      assert.deepEqual(
        [first.code, first.retryable, first.retryAt],
        ['ALLOWANCE_EXCEEDED', true, first.allowance.resetsAt],
      );
      const rows = await server.app.storage
        .fork()
        .execute('select count(*) as tickets from download_tickets where user_id = ?', [person.userId]);
      assert.equal(Number((rows[0] as { tickets: unknown }).tickets), 10);
      // What was charged is still good.
      assert.equal((await get(tickets[9].ticket.url)).status, 200);
    });

    it('an administrator sets limits, and nobody else', async () => {
      const SET = `mutation ($input: SetDownloadAllowanceInput!) {
        setDownloadAllowance(input: $input) {
          __typename ... on SetDownloadAllowancePayload { allowance { limit used } user { id downloadAllowance { limit } } } ... on UserError { message }
        }
      }`;
      const userId = encodeGlobalId('User', user.userId);
      const set = async (person: Person, input: object) => server.graphql(SET, { input }, person.token);
      const raised = await set(admin, { userId, limit: 5000 });
      assert.equal(raised.data.setDownloadAllowance.allowance.limit, 5000);
      assert.deepEqual(raised.data.setDownloadAllowance.user, { id: userId, downloadAllowance: { limit: 5000 } });
      const reset = await set(admin, { userId });
      assert.equal(reset.data.setDownloadAllowance.allowance.limit, 1000);
      assert.equal((await set(admin, { userId, limit: -1 })).data.setDownloadAllowance.__typename, 'InvalidInputError');
      for (const unknown of [encodeGlobalId('User', newId()), 'nonsense', encodeGlobalId('File', user.userId)]) {
        const answer = await set(admin, { userId: unknown, limit: 1 });
        assert.equal(answer.data.setDownloadAllowance.__typename, 'NotFoundError');
      }
      const refused = await set(user, { userId, limit: 9999 });
      assert.equal(refused.data.setDownloadAllowance.__typename, 'PermissionDeniedError');
      assert.equal((await server.graphql(ALLOWANCE, {}, user.token)).data.viewer.downloadAllowance.limit, 1000);
    });

    it('damaged bytes are refused or cut off, never sent as a whole file', async () => {
      const bytes = randomBytes(300_000);
      const file = await putFile(server, user, 'damaged', bytes);
      const url = await newTicket(user, file);
      const hash = file.entry.hashes.SHA256 ?? '';
      await truncate(join(server.dataDir, 'blobs', hash.slice(0, 2), hash.slice(2, 4), hash), 200_000);
      const response = await get(url);
      assert.equal(response.status, 502);
      assert.match(await response.text(), /INTEGRITY/);
    });

    it('a client that leaves amid the bytes frees the file', {
      skip: process.platform !== 'linux' && 'needs /proc',
    }, async () => {
      const file = await putFile(server, user, 'large', randomBytes(32 * 1024 * 1024));
      const url = new URL(await newTicket(user, file));
      const hash = file.entry.hashes.SHA256 ?? '';
      const isOpen = async (): Promise<boolean> => {
        const links = await Promise.all(
          (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
        );
        return links.some((link) => link.includes(hash));
      };
      for (let times = 0; times < 5; times += 1) {
        const socket = connect(Number(url.port), '127.0.0.1');
        socket.write(`GET ${url.pathname} HTTP/1.1\r\nhost: x\r\n\r\n`);
        await new Promise((resolve) => socket.once('data', resolve));
        assert.equal(await isOpen(), true);
        socket.destroy();
        while (await isOpen()) await setImmediate();
      }
    });

    it('clients that leave at any moment end nothing but themselves', async () => {
      const file = await putFile(server, user, 'left', randomBytes(2 * 1024 * 1024));
      const url = new URL(await newTicket(user, file));
      for (let turns = 0; turns < 60; turns += 1) {
        const socket = connect(Number(url.port), '127.0.0.1');
        socket.on('error', () => {});
        socket.write(`GET ${url.pathname} HTTP/1.1\r\nhost: x\r\n\r\n`);
        for (let turn = 0; turn < turns; turn += 1) await setImmediate();
        socket.resetAndDestroy();
      }
      assert.equal((await (await get(url.href)).arrayBuffer()).byteLength, 2 * 1024 * 1024);
    });

    it('no token of a ticket stands in the log or the database', async () => {
      const url = await newTicket(user, report);
      await (await get(url)).arrayBuffer();
      const token = url.split('/').at(-1) ?? '';
      assert.equal(
        server.logLines.some((line) => line.includes(token)),
        false,
      );
      const rows = await server.app.storage.fork().execute('select * from download_tickets');
      assert.equal(JSON.stringify(rows).includes(token), false);
    });
  });
}
