import { z } from 'zod';
import { isObject } from '../../lib/json.ts';
import type { CallContext, DriveEntry, RecycleBin } from '../driver.ts';
import { encodeCursor } from '../shared/paging.ts';
import { change, freeName, renamed } from './changing.ts';
import type { Pan115Client } from './client.ts';

import { invalid, isMissing, isTrue, itemError, notFound, pan115Error } from './errors.ts';
import { parsed } from './linking.ts';
import { pageLimit, placeIn } from './listing.ts';
import { dateOf, madeFile, ROOT_REF, toEntry, type WireFile } from './wire.ts';

const PAGE_MAX = 200;
const FOLDER = '2';
/** The clocks of 115 and of this machine may differ by so much, in milliseconds. */
const CLOCK_MARGIN_MS = 5 * 60_000;

const PLACE = z.tuple([z.string(), z.int().min(0)]);

const BINNED = z.object({
  id: z.union([z.string(), z.number().transform(String)]),
  file_name: z.coerce.string(),
  type: z.coerce.string(),
  file_size: z.coerce.number().int().min(0).optional().catch(undefined),
  dtime: z.coerce.number().positive().optional().catch(undefined),
  cid: z
    .union([z.string(), z.number().transform(String)])
    .optional()
    .catch(undefined),
  sha1: z.string().optional().catch(undefined),
});
type Binned = z.infer<typeof BINNED>;

/** Counters and entries stand in one object; an empty bin may be a list. */
const BIN = z.object({ data: z.unknown() });
/** What became of each: the whole may have succeeded although one failed. */
const REVERTED = z.object({
  data: z.preprocess((data) => (isObject(data) ? data : {}), z.record(z.string(), z.unknown())),
});

/** What was deleted. An entry has an id of the bin's own here, which need not be the one that it had. */
export const createRecycleBin = (pan115: Pan115Client): RecycleBin => ({
  async list(page, call) {
    const limit = pageLimit(page, PAGE_MAX);
    const [, offset] = placeIn(page, PLACE, 'bin') ?? ['bin', 0];
    const { items, count } = await binPage(pan115, offset, limit, call);
    const end = offset + items.length;
    return {
      items: items.map(toBinEntry),
      nextCursor: items.length > 0 && end < count ? encodeCursor(['bin', end]) : null,
      totalCount: count,
    };
  },

  async restore(ref, call) {
    const binned = await find(pan115, ({ id }) => id === ref, call);
    const place = await placeOf(pan115, binned, call);
    const before = new Set(place.files.map(({ id }) => id));
    const { data } = await pan115.post(
      REVERTED,
      'change',
      { url: '/open/rb/revert', form: { tid: nonEmpty(ref) }, timeoutMs: 120_000 },
      call,
    );
    refuseFailed(Object.hasOwn(data, ref) ? data[ref] : Object.values(data)[0]);

    const restored = await pan115.patiently(() => restoredIn(pan115, binned, place.id, before, call), call);
    if (!restored) throw pan115Error('unavailable', 'gave this back, but does not show it yet.', null, {}).spent();
    const others = await pan115.children(restored.parentId ?? ROOT_REF, call);
    const siblings = { files: others.files.filter(({ id }) => id !== restored.id) };
    return toEntry(await renamed(pan115, pan115.recent.made(restored), freeName(siblings, restored.name), call));
  },

  async purge(ref, call) {
    const { id } = await find(pan115, (binned) => binned.id === ref, call);
    await purgeOne(pan115, id, call);
  },

  /** Without an id the whole bin is meant. */
  async empty(call) {
    await change(pan115, '/open/rb/del', {}, call);
  },
});

/** Deletes for ever what was just put into the bin. It is found by its id, or by all that is known of it. */
export async function purgeRemoved(
  pan115: Pan115Client,
  file: WireFile,
  since: Date,
  call: CallContext,
): Promise<void> {
  const isIt = (binned: Binned): boolean =>
    binned.file_name === file.name &&
    (binned.type === FOLDER) === file.isFolder &&
    (file.isFolder || binned.file_size === file.sizeBytes) &&
    (binned.cid === undefined || binned.cid === file.parentId) &&
    (binned.sha1 === undefined || binned.sha1 === '' || binned.sha1.toUpperCase() === file.sha1?.toUpperCase()) &&
    (binned.dtime ?? 0) * 1000 >= since.getTime() - CLOCK_MARGIN_MS;
  const found = await pan115.patiently(async () => {
    const { items } = await binPage(pan115, 0, PAGE_MAX, call);
    return items.find(({ id }) => id === file.id) ?? items.find(isIt) ?? null;
  }, call);
  if (!found) {
    throw pan115Error('unavailable', 'put this into the recycle bin, but does not show it there yet.', null, {
      hint: 'Delete it there for ever.',
    }).spent();
  }
  await purgeOne(pan115, found.id, call);
}

const purgeOne = (pan115: Pan115Client, id: string, call: CallContext) =>
  change(pan115, '/open/rb/del', { tid: nonEmpty(id) }, call);

/** An empty id would mean the whole bin. */
function nonEmpty(id: string): string {
  if (id === '') throw invalid('must be told what to take.');
  return id;
}

async function binPage(pan115: Pan115Client, offset: number, limit: number, call: CallContext) {
  const { data } = await pan115.get(BIN, 'rb.list', '/open/rb/list', { limit, offset }, call);
  const values = isObject(data) ? Object.values(data) : Array.isArray(data) ? data : [];
  const items = parsed(
    z.array(BINNED),
    values.filter((value) => isObject(value) && value.id !== undefined),
  );
  const count = isObject(data) ? Number(data.count) : Number.NaN;
  return { items, count: Number.isFinite(count) ? count : offset + items.length };
}

/** @throws DriveError `not_found` */
async function find(pan115: Pan115Client, isIt: (binned: Binned) => boolean, call: CallContext): Promise<Binned> {
  for (let offset = 0; ; ) {
    const { items, count } = await binPage(pan115, offset, PAGE_MAX, call);
    const found = items.find(isIt);
    if (found) return found;
    offset += items.length;
    if (items.length === 0 || offset >= count) throw notFound();
  }
}

/** The folder that it was in, as it is now; the root when that is gone. */
async function placeOf(pan115: Pan115Client, { cid = ROOT_REF }: Binned, call: CallContext) {
  try {
    return { id: cid, ...(await pan115.children(cid, call)) };
  } catch (error) {
    if (!isMissing(error)) throw error;
    return { id: ROOT_REF, ...(await pan115.children(ROOT_REF, call)) };
  }
}

/** 115 does not tell what it made of it: it is the new one of that name, there or in the root. */
async function restoredIn(
  pan115: Pan115Client,
  { file_name, type }: Binned,
  placeId: string,
  before: ReadonlySet<string>,
  call: CallContext,
): Promise<WireFile | null> {
  for (const id of new Set([placeId, ROOT_REF])) {
    const { files } = await pan115.children(id, call);
    const found = files.find(
      (file) => !before.has(file.id) && file.name === file_name && file.isFolder === (type === FOLDER),
    );
    if (found) return found;
  }
  return null;
}

function refuseFailed(result: unknown): void {
  if (!isObject(result) || result.state === undefined || isTrue(result.state)) return;
  throw itemError(String(result.errno ?? result.code ?? '0'), String(result.error ?? result.message ?? ''));
}

function toBinEntry({ id, file_name, type, file_size, dtime, cid, sha1 }: Binned): DriveEntry {
  const entry = toEntry(
    madeFile({
      id,
      name: file_name,
      isFolder: type === FOLDER,
      parentId: cid ?? null,
      sizeBytes: file_size ?? null,
      sha1: sha1 || null,
    }),
  );
  return { ...entry, deletedAt: dateOf(dtime) };
}
