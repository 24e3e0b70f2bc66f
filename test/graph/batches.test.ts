import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { decodeGlobalId } from '../../src/graph/ids.ts';
import { BATCH_AWAITED_MAX, BATCH_ITEMS_MAX } from '../../src/services/batches.ts';
import { IdempotencyRecord } from '../../src/storage/entities/operations.ts';
import { Transfer } from '../../src/storage/entities/transfer.ts';
import { TransferBatch } from '../../src/storage/entities/transfer-batch.ts';
import { ENGINE_LIMITS } from '../../src/transfers/engine.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type Loopback, type ReceivedRequest, startLoopback } from '../support/loopback.ts';
import { type Person, registerUser } from '../support/people.ts';
import { openSse } from '../support/transports.ts';
import {
  BATCH_FIELDS,
  bytesOf,
  control,
  namesOf,
  rootOf,
  settled,
  uploadBatch,
  uploadFromUrl,
} from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

describe('batches', { timeout: 60_000 }, () => {
  let app: TestApp;
  let admin: Person;
  let user: Person;
  let folder: string;
  let server: Loopback;
  let reply: (request: ReceivedRequest, response: ServerResponse) => unknown;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'panql-batch-'));
    await writeFile(join(folder, 'file.bin'), 'of the server');
    server = await startLoopback((request, response) => reply(request, response));
    app = await startTestApp({ settings: { IMPORT_DIRS: folder, OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8' } });
    admin = await registerUser(app);
    user = await registerUser(app);
  });
  after(async () => {
    await app.close();
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });
  beforeEach(() => {
    reply = (_request, response) => response.end('of the web');
  });

  const text = (name: string, content = name, more: object = {}, who = admin): object => ({
    text: { parent: rootOf(who), name, content, ...more },
  });
  const url = (path: string, more: object = {}, who = admin): object => ({
    url: { parent: rootOf(who), url: server.url + path, ...more },
  });
  const serverFile = (path: string, more: object = {}, who = admin): object => ({
    serverFile: { parent: rootOf(who), path, ...more },
  });
  const begin = async (items: readonly object[], more: object = {}, who = admin): Promise<Answer> => {
    const begun = await uploadBatch(app, who, { items, ...more });
    assert.equal(begun.__typename, 'UploadBatchPayload', JSON.stringify(begun));
    return begun.batch;
  };
  const batchOf = async (id: string, who = admin): Promise<Answer> =>
    (
      await app.graphql(
        `query ($id: ID!) { node(id: $id) { ... on TransferBatch { ${BATCH_FIELDS} } } }`,
        { id },
        who.token,
      )
    ).data.node;
  /** The batch when all of its transfers have ended. */
  const ended = async (batch: Answer, who = admin): Promise<Answer> => {
    for (const { transfer } of batch.items) if (transfer) await settled(app, who, transfer.id);
    return batchOf(batch.id, who);
  };

  it('bring in texts, addresses and files of the server, each with its result in its place', async () => {
    const batch = await begin([
      text('a.txt'),
      url('/b.bin'),
      serverFile(join(folder, 'file.bin')),
      text('../bad'),
      url('http://10.0.0.1/', { url: 'http://10.0.0.1/' }),
      serverFile('/etc/passwd'),
      text('a.txt', 'the same name'),
      text('c.txt', 'c', { parent: { path: { accountId: admin.accountId, path: '/nowhere' } } }),
      url('/d.bin', { parent: { id: 'nonsense' } }),
    ]);
    assert.deepEqual(
      batch.items.map(({ index }: Answer) => index),
      [0, 1, 2, 3, 4, 5, 6, 7, 8],
    );
    const done = await ended(batch);
    assert.deepEqual([done.total, done.succeeded, done.failed, done.done], [9, 3, 6, true]);
    assert.deepEqual(
      done.items.map(({ transfer, error }: Answer) => [transfer?.state ?? null, error?.code ?? null]),
      [
        ['SUCCEEDED', null],
        ['SUCCEEDED', null],
        ['SUCCEEDED', null],
        [null, 'INVALID_INPUT'],
        [null, 'INVALID_INPUT'],
        [null, 'PERMISSION_DENIED'],
        done.items[6].transfer ? ['FAILED', 'ALREADY_EXISTS'] : [null, 'ALREADY_EXISTS'],
        [null, 'NOT_FOUND'],
        [null, 'NOT_FOUND'],
      ],
    );
    assert.deepEqual(done.items[3].error.issues[0].path, ['input', 'items', '3', 'text', 'name']);
    assert.deepEqual(done.items[4].error.issues[0].path, ['input', 'items', '4', 'url', 'url']);
    assert.equal(String(await bytesOf(app, admin, '/a.txt')), 'a.txt');
    assert.equal(String(await bytesOf(app, admin, '/b.bin')), 'of the web');
    assert.equal(String(await bytesOf(app, admin, '/file.bin')), 'of the server');
  });

  it('of other users have no files of the server, and are not seen', async () => {
    const batch = await begin(
      [serverFile(join(folder, 'file.bin'), {}, user), text('mine', 'mine', {}, user)],
      {},
      user,
    );
    const done = await ended(batch, user);
    assert.deepEqual(
      done.items.map(({ error }: Answer) => error?.code ?? null),
      ['PERMISSION_DENIED', null],
    );
    assert.deepEqual(await namesOf(app, user), ['mine']);
    assert.equal(await batchOf(batch.id, admin), null);
  });

  it('take from one to a hundred items, and let from one to sixteen run', async () => {
    for (const [items, more] of [
      [[], {}],
      [Array.from({ length: BATCH_ITEMS_MAX + 1 }, (_, index) => text(`n${index}`)), {}],
      [[text('x')], { maxConcurrent: 0 }],
      [[text('x')], { maxConcurrent: -1 }],
      [[text('x')], { maxConcurrent: 17 }],
    ] as const) {
      assert.equal((await uploadBatch(app, admin, { items, ...more })).code, 'INVALID_INPUT');
    }
    const item = { text: { parent: rootOf(admin), name: 'x', content: 'x' }, url: { parent: rootOf(admin), url: 'x' } };
    const query = 'mutation ($input: UploadBatchInput!) { uploadBatch(input: $input) { __typename } }';
    const { errors } = await app.graphql(query, { input: { items: [item] } }, admin.token);
    assert.ok(errors, 'an item is one thing');
    assert.ok(!(await namesOf(app, admin)).includes('x'));
  });

  for (const maxConcurrent of [1, 2]) {
    it(`let no more than ${maxConcurrent} of theirs run at one time, and all in the end`, async () => {
      const [running, waiting] = [new Set<string>(), [] as (() => void)[]];
      let most = 0;
      let arrived = Promise.withResolvers<void>();
      reply = async ({ url: path }, response) => {
        if (!path.startsWith('/limited')) return response.end('x');
        running.add(path);
        most = Math.max(most, running.size);
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
          arrived.resolve();
        });
        running.delete(path);
        return response.end('x');
      };
      const items = Array.from({ length: 5 }, (_, index) => url(`/limited-${maxConcurrent}-${index}`));
      const batch = await begin(items, { maxConcurrent });
      await arrived.promise;
      // What is not of the batch is not held up by it.
      const { transfer } = await uploadFromUrl(app, admin, { url: `${server.url}/beside-${maxConcurrent}` });
      assert.equal((await settled(app, admin, transfer.id)).state, 'SUCCEEDED');
      for (let left = items.length; left > 0; left -= 1) {
        if (waiting.length === 0) await arrived.promise;
        arrived = Promise.withResolvers<void>();
        waiting.shift()?.();
      }
      const done = await ended(batch);
      assert.deepEqual([done.succeeded, done.done, most], [5, true, maxConcurrent]);
    });
  }

  for (const [count, next] of [
    [BATCH_AWAITED_MAX + 1, 'what is asked for alone'],
    [BATCH_AWAITED_MAX, 'the next of them'],
  ] as const) {
    it(`of ${count}, when as many run as may, let come next: ${next}`, async () => {
      const arrivals: string[] = [];
      const waiting: (() => void)[] = [];
      let rang = Promise.withResolvers<void>();
      reply = async ({ url: path }, response) => {
        arrivals.push(path);
        rang.resolve();
        await new Promise<void>((resolve) => waiting.push(resolve));
        return response.end('x');
      };
      const arrived = async (many: number): Promise<void> => {
        for (; arrivals.length < many; rang = Promise.withResolvers()) await rang.promise;
      };
      const slots = ENGINE_LIMITS.runningPerUserMax;
      const paths = Array.from({ length: count }, (_, index) => `/of-${count}-${index}`);
      const batch = await begin(
        paths.map((path) => url(path)),
        { maxConcurrent: slots },
      );
      await arrived(slots);
      const alone = await uploadFromUrl(app, admin, { url: `${server.url}/alone-${count}` });
      waiting.shift()?.();
      await arrived(slots + 1);
      const expected = count > BATCH_AWAITED_MAX ? `/alone-${count}` : paths[slots];
      assert.equal(arrivals[slots], expected);
      reply = (_request, response) => response.end('x');
      for (const goOn of waiting) goOn();
      assert.equal((await settled(app, admin, alone.transfer.id)).state, 'SUCCEEDED');
      assert.equal((await ended(batch)).succeeded, count);
    });
  }

  it('are told of by the events of their transfers', async () => {
    const query = `subscription { transferEvents { cursor transfer { id state batch { id total succeeded failed done } } } }`;
    const events = openSse(app.url, { query, token: admin.token });
    const batch = await begin([text('event-1'), text('event-2')]);
    let last: Answer = null;
    for await (const { data, errors } of events) {
      assert.equal(errors, undefined, JSON.stringify(errors));
      const told = data.transferEvents.transfer.batch;
      if (told?.id !== batch.id) continue;
      last = told;
      if (told.done) break;
    }
    assert.deepEqual(last, { id: batch.id, total: 2, succeeded: 2, failed: 0, done: true });
  });

  it('of which one is cancelled or fails go on, and end', async () => {
    const held = Promise.withResolvers<void>();
    reply = ({ url: path }, response) => {
      if (path === '/held') return held.resolve();
      return path === '/gone' ? response.writeHead(404).end() : response.end('x');
    };
    const batch = await begin([url('/held'), url('/gone'), url('/fine')]);
    await held.promise;
    await control(app, admin, 'cancel', batch.items[0].transfer.id);
    const done = await ended(batch);
    assert.deepEqual([done.succeeded, done.failed, done.done], [1, 2, true]);
    assert.deepEqual(
      done.items.map(({ transfer, error }: Answer) => [transfer.state, error?.code ?? null]),
      [
        ['CANCELLED', null],
        ['FAILED', 'NOT_FOUND'],
        ['SUCCEEDED', null],
      ],
    );
  });

  it('of every kind can be paused, resumed and cancelled, and leave nothing', async () => {
    const held: (() => void)[] = [];
    const full = Promise.withResolvers<void>();
    reply = async ({ url: path }, response) => {
      if (!path.startsWith('/holding')) return response.end('x');
      await new Promise<void>((resolve) => {
        held.push(resolve);
        if (held.length === ENGINE_LIMITS.runningPerUserMax) full.resolve();
      });
      return response.end('x');
    };
    // As many as one user may have running: what comes now waits.
    const slots = Array.from({ length: ENGINE_LIMITS.runningPerUserMax }, (_, slot) => url(`/holding-${slot}`));
    const holding = await begin(slots, { maxConcurrent: slots.length });
    await full.promise;
    const batch = await begin([
      text('none.txt'),
      url('/none.bin'),
      serverFile(join(folder, 'file.bin'), { name: 'none' }),
    ]);
    for (const [action, state] of [
      ['pause', 'PAUSED'],
      ['resume', 'QUEUED'],
      ['pause', 'PAUSED'],
      ['resume', 'QUEUED'],
      ['cancel', 'CANCELLED'],
    ] as const) {
      for (const { transfer } of batch.items) {
        assert.equal((await control(app, admin, action, transfer.id)).transfer?.state, state, action);
      }
    }
    const ids = batch.items.map(({ transfer }: Answer) => decodeGlobalId(transfer.id)?.id);
    const spooled = await readdir(join(app.dataDir, 'spool'));
    assert.deepEqual(
      spooled.filter((name) => ids.some((id: string) => name.startsWith(id))),
      [],
    );
    const rows = await app.app.storage.fork().find(Transfer, { id: { $in: ids } });
    assert.deepEqual(
      rows.map(({ sealedSource }) => sealedSource),
      [null, null, null],
    );
    for (const goOn of held) goOn();
    assert.equal((await ended(holding)).succeeded, slots.length);
    const done = await batchOf(batch.id);
    assert.deepEqual([done.failed, done.done], [3, true]);
    assert.ok(!(await namesOf(app, admin)).some((name) => name.startsWith('none')));
  });

  it('are made once for one key, whole and item by item', async () => {
    const [key, itemKey] = [randomUUID(), randomUUID()];
    const items = [text('once-1'), text('once-2', 'x', { idempotencyKey: itemKey }), text('../bad')];
    const batches = await Promise.all(Array.from({ length: 20 }, () => begin(items, { idempotencyKey: key })));
    assert.equal(new Set(batches.map(({ id }) => id)).size, 1);
    const [batch] = batches;
    assert.equal((await ended(batch)).succeeded, 2);
    assert.deepEqual((await namesOf(app, admin)).filter((name) => name.startsWith('once-')).toSorted(), [
      'once-1',
      'once-2',
    ]);
    assert.equal((await uploadBatch(app, admin, { items: [text('other')], idempotencyKey: key })).code, 'CONFLICT');

    // The item's own key counts wherever it stands.
    const again = await begin([text('another'), text('once-2', 'x', { idempotencyKey: itemKey })]);
    assert.equal(again.items[1].transfer.id, batch.items[1].transfer.id);
    const other = await begin([text('once-2', 'y', { idempotencyKey: itemKey })]);
    assert.equal(other.items[0].error.code, 'CONFLICT');
  });

  it('whose making was broken off are finished by the repetition, and nothing is doubled', async () => {
    const { storage, services } = app.app;
    const viewer = await services.identity.authenticate(admin.token);
    assert.ok(viewer);
    const parent = { accountId: admin.accountRowId, ref: admin.accountRowId };
    const items = ['broken-1', 'broken-2', 'broken-3'].map((name) => ({ text: { parent, name, content: name } }));
    const key = randomUUID();
    const ids: string[] = [];
    const first = await services.batches.start(viewer, { items, idempotencyKey: key });
    for (const { transfer } of first.items) {
      assert.ok(transfer);
      ids.push(transfer.id);
      await services.transfers.settled(transfer.id, 10_000, new AbortController().signal);
    }
    // As it is when the process dies before the last one is made.
    const em = storage.fork();
    await em.nativeUpdate(TransferBatch, { id: first.id }, { items: null });
    await em.nativeDelete(Transfer, { id: ids[2] ?? '' });
    const third = { accountId: admin.accountRowId, path: '/broken-3' };
    await services.editing.delete(viewer, { entries: [third], permanently: true });
    const answer = { parts: [{ batch: first.id, items: ids }] };
    await em.nativeUpdate(IdempotencyRecord, { key }, { answer, pendingUntil: new Date(0) });

    const again = await services.batches.start(viewer, { items, idempotencyKey: key });
    assert.equal(again.id, first.id);
    assert.deepEqual(
      again.items.map(({ transfer }) => transfer?.id),
      ids,
    );
    await services.transfers.settled(ids[2] ?? '', 10_000, new AbortController().signal);
    const names = (await namesOf(app, admin)).filter((name) => name.startsWith('broken-'));
    assert.deepEqual(names.toSorted(), ['broken-1', 'broken-2', 'broken-3']);
  });
});
