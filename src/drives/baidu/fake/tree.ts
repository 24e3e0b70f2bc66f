import type { Content } from './content.ts';
import { md5Of } from './content.ts';

/** A file, or a directory when it has children. Times are Unix seconds. */
export interface Entry {
  readonly fsId: string;
  name: string;
  parent: Entry | null;
  readonly children: Map<string, Entry> | null;
  readonly content: Content | null;
  serverCtime: number;
  serverMtime: number;
  localCtime: number;
  localMtime: number;
  readonly media: Media;
}

/** What the service found out about a picture or a recording. */
export interface Media {
  readonly width?: number;
  readonly height?: number;
  readonly dateTaken?: number;
  readonly durationMs?: number;
  /** What `streaming` answers: an error number, or how far the conversion is. */
  streaming?: number | 'partial' | 'ready';
  readonly subtitles?: string;
}

export const isDirectory = (entry: Entry): entry is Entry & { readonly children: Map<string, Entry> } =>
  entry.children !== null;

export function pathOf(entry: Entry): string {
  if (entry.parent === null) return '/';
  const above = pathOf(entry.parent);
  return above === '/' ? `/${entry.name}` : `${above}/${entry.name}`;
}

export const parentPath = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';
export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** True for the directory itself and whatever lies below it. */
export const isWithin = (path: string, directory: string): boolean =>
  directory === '/' || path === directory || path.startsWith(`${directory}/`);

export const sizeOf = (entry: Entry): number => entry.content?.size ?? 0;

/** The entries below a directory, each before what lies in it. */
export function* below(directory: Entry): Generator<Entry> {
  for (const child of directory.children?.values() ?? []) {
    yield child;
    yield* below(child);
  }
}

/** The entry at a path, or null. Names are compared letter by letter. */
export function findEntry(root: Entry, path: string): Entry | null {
  let entry: Entry | null = root;
  for (const name of path.split('/').filter((part) => part !== '')) entry = entry?.children?.get(name) ?? null;
  return entry;
}

/** Puts an entry into a directory; what had its name there is detached. */
export function attach(entry: Entry, parent: Entry, name: string): void {
  if (!parent.children) throw new Error('The parent is not a directory.');
  const before = parent.children.get(name);
  if (before && before !== entry) detach(before);
  detach(entry);
  entry.name = name;
  entry.parent = parent;
  parent.children.set(name, entry);
}

export function detach(entry: Entry): void {
  entry.parent?.children?.delete(entry.name);
  entry.parent = null;
}

/** `report.txt` → `report(1).txt`: the first such name that is free. */
export function freeName(directory: Entry, name: string): string {
  const dot = name.lastIndexOf('.');
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
  let count = 1;
  while (directory.children?.has(`${stem}(${count})${extension}`)) count += 1;
  return `${stem}(${count})${extension}`;
}

const NAME_FORBIDDEN = /[\\?|"><:*/\p{Cc}]|^[.\s]|[.\s]$|^$|[\u{10000}-\u{10ffff}]/u;
/** By old documents; in bytes. */
const PATH_BYTES_MAX = 1000;

export const isNameAllowed = (name: string): boolean => !NAME_FORBIDDEN.test(name);

/** Absolute, without empty parts and without a slash at the end. */
export const isWellFormed = (path: string): boolean => path === '/' || /^(?:\/[^/]+)+$/.test(path);

export const isPathAllowed = (path: string): boolean =>
  Buffer.byteLength(path) <= PATH_BYTES_MAX && path.slice(1).split('/').every(isNameAllowed);

const CATEGORY_OTHER = 6;
const CATEGORIES: ReadonlyMap<string, number> = new Map(
  [
    'mp4 mkv avi mov wmv flv ts webm m4v rmvb',
    'mp3 flac wav aac ogg m4a ape wma',
    'jpg jpeg png gif bmp webp heic tiff',
    'txt md pdf doc docx xls xlsx ppt pptx csv epub html htm json',
    'exe apk msi dmg ipa deb',
    '',
    'torrent',
  ].flatMap((extensions, index) => extensions.split(' ').map((extension): [string, number] => [extension, index + 1])),
);

/** 1 video, 2 audio, 3 image, 4 document, 5 application, 6 other and directories, 7 torrent. */
export function categoryOf(entry: Entry): number {
  if (entry.children || !entry.name.includes('.')) return CATEGORY_OTHER;
  return CATEGORIES.get(extensionOf(entry)) ?? CATEGORY_OTHER;
}

export const extensionOf = (entry: Entry): string => /\.([^.]+)$/.exec(entry.name)?.[1]?.toLowerCase() ?? '';

/** The service's `md5`: a name for the content with a letter at place 9 that no MD5 has, not the MD5 of the bytes. */
export function cloudMd5(entry: Entry): string {
  const seed = entry.content?.md5 ?? entry.content?.blockMd5s.join() ?? '';
  const digest = md5Of(`cloud ${entry.content?.size} ${seed}`);
  return `${digest.slice(0, 9)}${'ghijklmnopqrstuv'[Number.parseInt(digest[9] ?? '0', 16)]}${digest.slice(10)}`;
}
