/**
 * Copies a tree between two drives that keep nothing, and tells what this process held meanwhile: for a process of its
 * own, with --expose-gc. Arguments: files, bytes of each, and after how many of them the copy is cancelled (0: never).
 * Prints JSON: {@link TreeMemory}.
 */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import type { DriveEntry, Driver } from '../../src/drives/driver.ts';
import { newId } from '../../src/lib/ids.ts';
import type { Transfer } from '../../src/storage/entities/transfer.ts';
import { entryRow } from '../../src/transfers/folders.ts';
import { isFinal } from '../../src/transfers/states.ts';
import { DATABASES } from './databases.ts';
import { openTransferBench } from './transfers.ts';

export interface TreeMemory {
  readonly state: string;
  readonly itemsTotal: number;
  readonly itemsSucceeded: number;
  readonly itemsCancelled: number;
  /** Most that was reachable above what was before, in bytes: heap and buffers, each time after a collection. */
  readonly heldBytes: number;
  readonly looks: number;
}

const PAGE = 1_000;
const LOOK_EVERY = 20;
const LOOK_EVERY_MS = 200;
const WARM_UP = 40;
const CHUNK = Buffer.alloc(64 * 1024, 7);

const [files = 0, fileBytes = 0, cancelAfter = 0] = process.argv.slice(2).map(Number);

function heldNow(): number {
  const { gc } = globalThis;
  assert.ok(gc, 'run me with --expose-gc');
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const entry = (ref: string, name: string, sizeBytes: number | null): DriveEntry => ({
  ref,
  kind: sizeBytes === null ? 'FOLDER' : 'FILE',
  name,
  parentRef: 'root',
  path: null,
  sizeBytes,
  createdAt: null,
  modifiedAt: null,
  revision: sizeBytes === null ? null : 'r1',
  mimeType: null,
  category: null,
  hashes: {},
  deletedAt: null,
});

const capabilities = {
  nameBytesMax: 255,
  caseSensitive: true,
  fileBytesMax: null,
  listPageMax: PAGE,
  hashes: [],
  sorts: [],
} as const;

/** The folder of that many files is called as that number says. */
const source: Driver = {
  capabilities,
  rootRef: 'root',
  async list(folderRef, _options, { cursor, limit }) {
    const count = Number(folderRef);
    const start = Number(cursor ?? 0);
    const end = Math.min(count, start + limit);
    const items = Array.from({ length: end - start }, (_, index) => {
      const name = `${start + index} ${'of a name of common length'.repeat(2)}.bin`;
      return entry(`file ${start + index}`, name, fileBytes);
    });
    look();
    return { items, nextCursor: end < count ? String(end) : null, totalCount: null };
  },
  stat: async (ref) => (ref.startsWith('file ') ? entry(ref, ref, fileBytes) : entry(ref, ref, null)),
  read: async () =>
    Readable.from(
      (function* () {
        for (let left = fileBytes; left > 0; left -= CHUNK.length) yield CHUNK.subarray(0, left);
      })(),
    ),
};

let done = 0;
let held = 0;
let looks = 0;
let baseline = Number.POSITIVE_INFINITY;
let whenDone = { most: 0, resolve: (): void => undefined };

function look(): void {
  if (baseline === Number.POSITIVE_INFINITY) return;
  looks += 1;
  held = Math.max(held, heldNow() - baseline);
}

const target: Driver = {
  capabilities,
  rootRef: 'root',
  stat: async (ref) => entry(ref, ref, null),
  read: async () => Readable.from([]),
  createFolder: async (_parentRef, name) => entry(newId(), name, null),
  upload: {
    concurrency: 2,
    begin: async ({ sizeBytes }) => ({
      session: { sliceBytes: CHUNK.length, sliceCount: Math.ceil(sizeBytes / CHUNK.length), state: null },
    }),
    putSlice: async (_plan, _session, index) => ({ index, state: null }),
    complete: async ({ name, sizeBytes }) => {
      done += 1;
      if (done % LOOK_EVERY === 0) look();
      if (done === whenDone.most) whenDone.resolve();
      return entry(newId(), name, sizeBytes);
    },
    abort: async () => undefined,
  },
};

const [sqlite] = DATABASES;
assert.ok(sqlite);
const bench = await openTransferBench(sqlite);
const { parts } = bench;
const drive = (accountId: string): Driver => (accountId === 'from' ? source : target);
const copy = async (count: number): Promise<string> => {
  const from = { accountId: 'from', ref: String(count), sameProvider: false };
  const row = await parts.store.create({
    ...entryRow(target, from, entry(String(count), 'top', null)),
    ...{ userId: 'user-1', kind: 'COPY', accountId: 'to', parentRef: 'root' },
    ...{ itemsTotal: 0, itemsSucceeded: 0, itemsFailed: 0, itemsCancelled: 0 },
  });
  return row.id;
};
const ended = (id: string): Promise<Transfer> => parts.until(id, ({ state }) => isFinal(state));

/** Copies so many, and cancels after some of them, if any. */
async function run(count: number, most: number): Promise<Transfer> {
  const { promise, resolve } = Promise.withResolvers<void>();
  done = 0;
  whenDone = { most, resolve };
  const id = await copy(count);
  if (most > 0) {
    await promise;
    await parts.store.change(id, 'cancel');
  }
  return ended(id);
}

parts.engine(drive, { pollMs: 50 }).start();
// Code, statements and pools that stay come first.
await run(PAGE, WARM_UP);
baseline = heldNow();
const looking = setInterval(look, LOOK_EVERY_MS);
const row = await run(files, cancelAfter);
look();
clearInterval(looking);
await bench.close();
const result: TreeMemory = {
  state: row.state,
  itemsTotal: row.itemsTotal ?? 0,
  itemsSucceeded: row.itemsSucceeded ?? 0,
  itemsCancelled: row.itemsCancelled ?? 0,
  heldBytes: held,
  looks,
};
process.stdout.write(JSON.stringify(result));
process.exit();
