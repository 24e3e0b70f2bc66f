import { createHash } from 'node:crypto';
import type { OfflineTask } from './offline.ts';
import type { Settings } from './settings.ts';
import type { Role } from './wire.ts';
import { Refusal } from './wire.ts';

/** The bytes of a file. */
export interface Content {
  readonly chunks: readonly Buffer[];
  readonly size: number;
  /** Upper-case hex. */
  readonly sha1: string;
}

/** A file, or a folder when it has children: several of them may have one name. Times are Unix seconds. */
export interface Entry {
  readonly id: string;
  name: string;
  parent: Entry | null;
  readonly children: Entry[] | null;
  readonly content: Content | null;
  readonly pickCode: string;
  readonly createdAt: number;
  modifiedAt: number;
  /** Facts about it are told from then on, in milliseconds. */
  visibleAtMs: number;
  /** Lists have it from then on, and a folder is listed itself, in milliseconds. */
  listedAtMs: number;
  starred: boolean;
  readonly media: Media;
}

/** What the service made of a film. */
export interface Media {
  readonly durationSeconds?: number;
  readonly width?: number;
  readonly height?: number;
  /** Whether it can be played; false: it is still being made. */
  transcoded?: boolean;
  readonly subtitles?: readonly { readonly language: string; readonly title: string; readonly type: string }[];
  progress?: { readonly seconds: number; readonly at: number; readonly ended: boolean };
  pushed?: string;
  /** What a torrent file would bring. */
  readonly torrent?: { readonly name: string; readonly files: readonly { path: string; size: number }[] };
}

export interface Recycled {
  /** The bin's own id of it. */
  readonly tid: string;
  readonly entry: Entry;
  readonly parent: Entry;
  readonly deletedAt: number;
}

export interface UserOptions {
  readonly name?: string;
  readonly level?: string;
  readonly totalBytes?: number;
  readonly offlineQuota?: number;
}

export interface User {
  readonly id: string;
  readonly options: UserOptions;
  totalBytes: number;
  readonly root: Entry;
  readonly recycled: Recycled[];
  readonly tasks: OfflineTask[];
  offlineUsed: number;
  /** Real times of the last requests. */
  readonly requestsAt: number[];
  changing: boolean;
  /** Further changes that are refused, because one goes on. */
  behind: number;
}

export interface SeedOptions extends Media {
  /** Unix seconds. */
  readonly modifiedAt?: number;
}

/** Everything that the service knows, and the time by which it goes. */
export class World {
  readonly settings: Settings;
  readonly users: User[] = [];
  /** Contents of all users, by hash and size. */
  readonly contents = new Map<string, Content>();
  /** What a client did that the documents forbid, in words; a faithful client leaves it empty. */
  readonly violations: string[] = [];
  readonly random: () => number;
  urls: Readonly<Record<Role, string>> = { passport: '', qrcode: '', api: '', cdn: '', oss: '' };
  readonly #now: () => number;
  #aheadMs = 0;
  #id = 3_012_345_678_901_234_567n;
  #serial = 0;

  constructor({ settings, now, seed }: { settings: Settings; now: () => number; seed: number }) {
    this.settings = settings;
    this.#now = now;
    this.random = seeded(seed);
  }

  get nowMs(): number {
    return this.#now() + this.#aheadMs;
  }

  /** Unix seconds. */
  get now(): number {
    return Math.floor(this.nowMs / 1000);
  }

  advance(milliseconds: number): void {
    this.#aheadMs += milliseconds;
  }

  serial(): number {
    this.#serial += 1;
    return this.#serial;
  }

  /** A text that nobody guesses right by counting. */
  nonce(prefix: string): string {
    return `${prefix}${this.serial()}x${Math.floor(this.random() * 2 ** 48).toString(36)}`;
  }

  newId(): string {
    this.#id += 1n + BigInt(Math.floor(this.random() * 1000));
    return String(this.#id);
  }

  violate(text: string): void {
    this.violations.push(text);
  }

  /** Notes what the client did wrong and refuses it. */
  refuse(code: number, text: string): never {
    this.violate(text);
    throw new Refusal(code, text);
  }

  createUser(options: UserOptions = {}): User {
    const user: User = {
      id: String(340_000_001 + this.users.length),
      options,
      totalBytes: options.totalBytes ?? 2 ** 41,
      root: { ...this.newEntry('根目录', null), id: '0', visibleAtMs: 0, listedAtMs: 0 } as Entry,
      recycled: [],
      tasks: [],
      offlineUsed: 0,
      requestsAt: [],
      changing: false,
      behind: 0,
    };
    this.users.push(user);
    return user;
  }

  usedBytes(user: User): number {
    return [...below(user.root)].reduce((sum, { content }) => sum + (content?.size ?? 0), 0);
  }

  /** A file of that content, or a folder. */
  newEntry(name: string, content: Content | null, { modifiedAt, ...media }: SeedOptions = {}): Entry {
    return {
      id: this.newId(),
      name,
      parent: null,
      children: content === null ? [] : null,
      content,
      pickCode: createHash('sha1').update(String(this.serial())).digest('hex').slice(0, 17),
      createdAt: modifiedAt ?? this.now,
      modifiedAt: modifiedAt ?? this.now,
      visibleAtMs: this.nowMs + this.settings.infoLagMs,
      listedAtMs: this.nowMs + this.settings.listLagMs,
      starred: false,
      media,
    };
  }

  keep(chunks: readonly Buffer[]): Content {
    const hash = createHash('sha1');
    for (const chunk of chunks) hash.update(chunk);
    const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const content = { chunks, size, sha1: hash.digest('hex').toUpperCase() };
    this.contents.set(`${content.sha1} ${size}`, content);
    return content;
  }

  /** An entry of the tree by its id. */
  entry(user: User, id: string): Entry | null {
    if (id === '0') return user.root;
    for (const entry of below(user.root)) if (entry.id === id) return entry;
    return null;
  }

  byPickCode(user: User, code: string): Entry | null {
    for (const entry of below(user.root)) if (entry.pickCode === code) return entry;
    return null;
  }

  /** The first entry at a path. */
  find(user: User, path: string): Entry | null {
    let entry: Entry | null = user.root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      entry = entry?.children?.find((child) => child.name === name) ?? null;
    }
    return entry;
  }

  /** The folder at a path, made with its parents where missing. */
  folder(user: User, path: string): Entry {
    let folder = user.root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      let next = folder.children?.find((child) => child.name === name);
      if (!next) {
        next = { ...this.newEntry(name, null), visibleAtMs: 0, listedAtMs: 0 };
        attach(next, folder);
      }
      folder = next;
    }
    return folder;
  }
}

export const isFolder = (entry: Entry): entry is Entry & { readonly children: Entry[] } => entry.children !== null;

/** The entries below a folder, each before what lies in it. */
export function* below(folder: Entry): Generator<Entry> {
  for (const child of folder.children ?? []) {
    yield child;
    yield* below(child);
  }
}

/** The folders above an entry, root first. */
export function above(entry: Entry): Entry[] {
  const chain: Entry[] = [];
  for (let folder = entry.parent; folder; folder = folder.parent) chain.unshift(folder);
  return chain;
}

export function attach(entry: Entry, parent: Entry): void {
  detach(entry);
  if (!parent.children) throw new Error('The parent is not a folder.');
  parent.children.push(entry);
  entry.parent = parent;
}

export function detach(entry: Entry): void {
  const siblings = entry.parent?.children;
  if (siblings) siblings.splice(siblings.indexOf(entry), 1);
  entry.parent = null;
}

export const extensionOf = (name: string): string => (/\.([^.]+)$/.exec(name)?.[1] ?? '').toLowerCase();

/** Mulberry32: the same seed gives the same run. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
