import { jsonInteger } from '../../../lib/json.ts';
import type { Content } from './content.ts';
import { ContentStore } from './content.ts';
import type { Settings } from './settings.ts';
import type { Task } from './tasks.ts';
import type { Entry, Media } from './tree.ts';
import { attach, below, findEntry, isDirectory, sizeOf } from './tree.ts';
import type { Role } from './wire.ts';
import { Refusal } from './wire.ts';

export interface UserOptions {
  readonly baiduName?: string;
  readonly netdiskName?: string;
  /** 0 ordinary, 1 member, 2 super member. */
  readonly vipType?: 0 | 1 | 2;
  readonly totalBytes?: number;
  /** Counted as used beside what lies in the tree. */
  readonly otherUsedBytes?: number;
  /** May call the paid share service. */
  readonly shareGrant?: boolean;
  /** May call the semantic search. */
  readonly searchGrant?: boolean;
  /** The application's own directory exists from the start; true by default. */
  readonly appRootExists?: boolean;
}

export interface Recycled {
  readonly entry: Entry;
  readonly path: string;
  readonly deletedAt: number;
}

export interface Playlist {
  readonly id: string;
  readonly name: string;
  readonly ctime: number;
  readonly files: readonly Entry[];
}

export interface User {
  readonly uk: string;
  readonly options: UserOptions;
  vipType: 0 | 1 | 2;
  totalBytes: number;
  otherUsedBytes: number;
  readonly root: Entry;
  readonly recycled: Recycled[];
  readonly playlists: Playlist[];
  /** Milliseconds of the last `listall` calls. */
  readonly listallAt: number[];
  readonly tasks: Map<string, Task>;
}

/** Entries as a test sees them. */
export interface SeedOptions extends Media {
  /** Unix seconds; now by default. */
  readonly localMtime?: number;
}

/** Everything that the service knows, and the time by which it goes. */
export class World {
  readonly settings: Settings;
  readonly contents: ContentStore;
  readonly users: User[] = [];
  /** What a client did that the documents forbid, in words; a faithful client leaves it empty. */
  readonly violations: string[] = [];
  readonly random: () => number;
  urls: Readonly<Record<Role, string>> = { openapi: '', pan: '', pcs: '', cdn: '' };
  readonly #now: () => number;
  #aheadMs = 0;
  #fsId: bigint;
  #serial = 0;

  constructor(options: { settings: Settings; now: () => number; seed: number; keep: 'bytes' | 'digests' }) {
    this.settings = options.settings;
    this.#now = options.now;
    this.random = seeded(options.seed);
    this.contents = new ContentStore(options.keep);
    // The contract is an unsigned integer of 64 bits, though smaller ones are seen.
    this.#fsId = options.settings.fsIds === 'huge' ? 9_223_372_036_854_775_900n : 1_009_876_543_210_000n;
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

  /** A number that no other call of this fake gives. */
  serial(): number {
    this.#serial += 1;
    return this.#serial;
  }

  /** A text that nobody guesses right by counting. */
  nonce(prefix: string): string {
    return `${prefix}${this.serial()}-${Math.floor(this.random() * 2 ** 48).toString(36)}`;
  }

  /** Above 2⁵³, as the service's are. */
  requestId(): string {
    return String(8_947_927_278_924_600_000n + BigInt(this.serial()));
  }

  violate(text: string): void {
    this.violations.push(text);
  }

  /** Notes what the client did wrong and refuses it. */
  refuse(code: number, text: string, more?: ConstructorParameters<typeof Refusal>[2]): never {
    this.violate(text);
    throw new Refusal(code, text, more);
  }

  createUser(options: UserOptions = {}): User {
    const root = this.newEntry('', null);
    const user: User = {
      uk: String(12_345_678_900 + this.users.length),
      options,
      vipType: options.vipType ?? 0,
      totalBytes: options.totalBytes ?? 2 ** 41,
      otherUsedBytes: options.otherUsedBytes ?? 0,
      root,
      recycled: [],
      playlists: [],
      listallAt: [],
      tasks: new Map(),
    };
    this.users.push(user);
    if (options.appRootExists !== false) this.ensureDirectory(user, this.settings.appRoot);
    return user;
  }

  usedBytes(user: User): number {
    return [...below(user.root)].reduce((sum, entry) => sum + sizeOf(entry), user.otherUsedBytes);
  }

  newEntry(name: string, content: Content | null, options: SeedOptions & { readonly localCtime?: number } = {}): Entry {
    this.#fsId += 1n + BigInt(Math.floor(this.random() * 50));
    const { localMtime = this.now, localCtime = localMtime, ...media } = options;
    return {
      fsId: String(this.#fsId),
      name,
      parent: null,
      children: content === null ? new Map() : null,
      content,
      serverCtime: this.now,
      serverMtime: this.now,
      localCtime,
      localMtime,
      media,
    };
  }

  /** The directory at a path, made with its parents where missing; null when a file is in the way. */
  ensureDirectory(user: User, path: string): Entry | null {
    let directory = user.root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      const child = directory.children?.get(name);
      if (child && !isDirectory(child)) return null;
      const next = child ?? this.newEntry(name, null);
      if (!child) attach(next, directory, name);
      directory = next;
    }
    return directory;
  }

  find(user: User, path: string): Entry | null {
    return findEntry(user.root, path);
  }

  /** The id of an entry as a JSON number, however large. */
  id(digits: string): unknown {
    return jsonInteger(digits);
  }
}

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
