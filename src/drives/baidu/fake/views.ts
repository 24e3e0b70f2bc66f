import { createHmac } from 'node:crypto';
import type { Entry } from './tree.ts';
import { below, categoryOf, cloudMd5, isDirectory, pathOf, sizeOf } from './tree.ts';
import type { Fields } from './wire.ts';
import type { World } from './world.ts';

const LINK_SECONDS = 8 * 3600;
/** The key behind every signed address of this fake. */
const SIGN_KEY = 'signed by the fake';

/** The part of the file object that `list`, `listall`, the typed lists, `search` and `filemetas` share. */
export function fileView(world: World, entry: Entry, options: { readonly web?: boolean } = {}): Fields {
  return {
    ...coreView(world, entry),
    server_filename: entry.name,
    ...(options.web && thumbs(world, entry, false)),
    ...(options.web && dirEmpty(entry)),
    ...extras(world),
  };
}

export function coreView(world: World, entry: Entry): Fields {
  return {
    fs_id: world.id(entry.fsId),
    path: pathOf(entry),
    size: sizeOf(entry),
    isdir: isDirectory(entry) ? 1 : 0,
    category: categoryOf(entry),
    ...(!isDirectory(entry) && { md5: cloudMd5(entry) }),
    server_ctime: entry.serverCtime,
    server_mtime: entry.serverMtime,
    local_ctime: entry.localCtime,
    local_mtime: entry.localMtime,
  };
}

/** Inverted, and about sub-directories only: 1 = has none. */
export const dirEmpty = (entry: Entry): Fields =>
  entry.children ? { dir_empty: [...entry.children.values()].some(isDirectory) ? 0 : 1 } : {};

/** As `create` and a rapid upload answer: `name` is the whole path, and the times are those of the call. */
export function createdView(world: World, entry: Entry): Fields {
  return {
    fs_id: world.id(entry.fsId),
    path: pathOf(entry),
    name: pathOf(entry),
    category: categoryOf(entry),
    ctime: world.now,
    mtime: world.now,
    isdir: isDirectory(entry) ? 1 : 0,
    ...(isDirectory(entry) ? { status: 0 } : { size: sizeOf(entry), md5: cloudMd5(entry), from_type: 1 }),
  };
}

const THUMBS: Readonly<Record<string, string>> = {
  icon: 'c60_u60',
  url1: 'c140_u90',
  url2: 'c360_u270',
  url3: 'c850_u580',
};

/** Pictures and videos only. */
export function thumbs(world: World, entry: Entry, withLargest: boolean): Fields {
  if (isDirectory(entry) || ![1, 3].includes(categoryOf(entry))) return {};
  const sizes = Object.entries({ ...THUMBS, ...(withLargest && { url4: 'c1600_u1600' }) });
  return {
    thumbs: Object.fromEntries(
      sizes.map(([key, size]) => [key, signedUrl(world, '/thumbnail', { fid: entry.fsId, size }, LINK_SECONDS)]),
    ),
  };
}

/** Documents only. */
export function previews(world: World, entry: Entry): Fields {
  const link = (quality: string) => signedUrl(world, '/preview', { fid: entry.fsId, quality }, LINK_SECONDS);
  return categoryOf(entry) === 4 ? { lodocpreview: link('low'), docpreview: link('full') } : {};
}

/** An address on the delivery host that runs out. */
export function signedUrl(
  world: World,
  path: string,
  params: Readonly<Record<string, string>>,
  seconds: number,
): string {
  const query = new URLSearchParams({ ...params, expires: String(world.now + seconds) });
  query.set('sign', signature(path, query));
  return `${world.urls.cdn}${path}?${query}`;
}

/** Why the delivery host refuses an address, or null. */
export function signedUrlFault(world: World, path: string, query: URLSearchParams): 'altered' | 'expired' | null {
  if (query.get('sign') !== signature(path, query)) return 'altered';
  return Number(query.get('expires')) <= world.now ? 'expired' : null;
}

/** Over everything but the token and the signature itself; holds `+` and `=`, which only one encoding survives. */
export function signature(path: string, query: URLSearchParams): string {
  const signed = [...query].filter(([key]) => key !== 'sign' && key !== 'access_token').map((pair) => pair.join('='));
  return `F+${createHmac('md5', SIGN_KEY)
    .update(`${path}?${signed.join('&')}`)
    .digest('base64')}`;
}

const EXTRAS: readonly Fields[] = [
  { oper_id: 12_345_678_900, owner_id: 0 },
  { owner_type: 0, share: 0, pl: 0, privacy: 0 },
  { real_category: '', tkbind_id: 0 },
  { wpfile: 0, unlist: 0, server_atime: 0, extent_tinyint7: 0, from_type: 1, empty: 0 },
  { black_tag: null, not_in_any_document: { nested: [1, 'two', null] } },
];

/** Keys that a client has to pass over. */
export const extras = (world: World): Fields =>
  world.settings.extraKeys ? (EXTRAS[Math.floor(world.random() * (EXTRAS.length + 2))] ?? {}) : {};

/** Finds an entry of any user by its id. */
export function entryById(world: World, fsId: string): Entry | null {
  for (const user of world.users) {
    for (const entry of below(user.root)) if (entry.fsId === fsId) return entry;
  }
  return null;
}

export type Order = 'name' | 'time' | 'size';

/** Directories first, then by the key. */
export function sorted(entries: readonly Entry[], order: Order, descending: boolean): Entry[] {
  const sign = descending ? -1 : 1;
  return entries.toSorted((a, b) => {
    if (isDirectory(a) !== isDirectory(b)) return isDirectory(a) ? -1 : 1;
    return sign * (compareBy(order, a, b) || compareText(pathOf(a), pathOf(b)));
  });
}

function compareBy(order: Order, a: Entry, b: Entry): number {
  if (order === 'time') return a.serverMtime - b.serverMtime;
  if (order === 'size') return sizeOf(a) - sizeOf(b);
  return compareText(a.name, b.name);
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
