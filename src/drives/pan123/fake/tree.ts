import { createHash } from 'node:crypto';
import { Refusal } from './wire.ts';

/** Bytes that some file has or had: the service knows them by their MD5. */
export interface Content {
  readonly md5: string;
  readonly bytes: Buffer;
}

export interface Entry {
  readonly id: bigint;
  readonly kind: 'file' | 'folder';
  name: string;
  parent: Entry | null;
  content: Content | null;
  /** Milliseconds since 1970. */
  createdAt: number;
  updatedAt: number;
  /** In the recycle bin by itself; what is below it is there with it. */
  trashed: boolean;
  /** Of the transcoding space. */
  readonly transcode: boolean;
}

/** The tree of one account. */
export class Tree {
  readonly root: Entry;
  readonly #entries = new Map<bigint, Entry>();

  constructor(now: number) {
    this.root = newEntry(0n, 'folder', '', null, null, now);
    this.#entries.set(0n, this.root);
  }

  add(entry: Entry): Entry {
    this.#entries.set(entry.id, entry);
    return entry;
  }

  get(id: bigint): Entry | null {
    return this.#entries.get(id) ?? null;
  }

  /** Ascending by id, those in the recycle bin too. */
  all(): Entry[] {
    return [...this.#entries.values()]
      .filter(({ id }) => id !== 0n)
      .toSorted((one, other) => (one.id < other.id ? -1 : 1));
  }

  children(parent: Entry): Entry[] {
    return this.all().filter((entry) => entry.parent === parent);
  }

  /** A live entry of the name. */
  named(parent: Entry, name: string): Entry | null {
    return this.children(parent).find((entry) => !entry.trashed && entry.name === name) ?? null;
  }

  /** A live folder. @throws Refusal */
  folder(id: bigint): Entry {
    const entry = this.get(id);
    if (entry?.kind !== 'folder' || inBin(entry)) throw new Refusal(1, '父级目录不存在');
    return entry;
  }

  /** A live entry. @throws Refusal */
  live(id: bigint): Entry {
    const entry = id === 0n ? null : this.get(id);
    if (!entry || inBin(entry)) throw new Refusal(5066, '文件不存在');
    return entry;
  }

  /** For ever, with all below it. */
  drop(entry: Entry): void {
    for (const child of this.children(entry)) this.drop(child);
    this.#entries.delete(entry.id);
  }
}

export const newEntry = (
  id: bigint,
  kind: Entry['kind'],
  name: string,
  parent: Entry | null,
  content: Content | null,
  now: number,
  transcode = false,
): Entry => ({ id, kind, name, parent, content, createdAt: now, updatedAt: now, trashed: false, transcode });

/** By itself, or with a folder above it. */
export const inBin = (entry: Entry): boolean => entry.trashed || (entry.parent !== null && inBin(entry.parent));

export const isBelow = (entry: Entry, folder: Entry): boolean =>
  entry === folder || (entry.parent !== null && isBelow(entry.parent, folder));

export const contentOf = (bytes: Buffer): Content => ({ md5: createHash('md5').update(bytes).digest('hex'), bytes });

/** Bytes of all files below. */
export function sizeOf(tree: Tree, entry: Entry): number {
  if (entry.content) return entry.content.bytes.length;
  return tree.children(entry).reduce((sum, child) => sum + sizeOf(tree, child), 0);
}

/** What no name may have. Slash is one of them, but for a path with `containDir`. */
const FORBIDDEN = /["\\/:*?|><]/;

/** @throws Refusal */
export function checkName(name: string): void {
  if (name.trim() === '') throw new Refusal(1, '文件名不能为空或全为空格');
  if ([...name].length >= 255) throw new Refusal(1, '文件名长度不能超过255');
  if (FORBIDDEN.test(name)) throw new Refusal(1, '文件名不能包含特殊字符');
}

/** A name that is free, with a number. */
export function freeName(tree: Tree, parent: Entry, name: string): string {
  const dot = name.lastIndexOf('.');
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
  for (let number = 1; ; number += 1) {
    const candidate = `${stem}(${number})${extension}`;
    if (!tree.named(parent, candidate)) return candidate;
  }
}
