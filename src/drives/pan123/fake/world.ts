import { randomBytes } from 'node:crypto';
import type { Settings } from './settings.ts';
import { type Content, contentOf, type Entry, newEntry, Tree } from './tree.ts';
import type { Role } from './wire.ts';

export interface UserOptions {
  readonly nickname?: string;
  readonly vip?: boolean;
  /** 1 VIP, 2 SVIP, 3 long-term VIP. */
  readonly vipLevel?: number;
  readonly spacePermanent?: bigint;
}

export interface User {
  readonly uid: bigint;
  readonly nickname: string;
  vip: boolean;
  readonly vipLevel: number;
  readonly spacePermanent: bigint;
  readonly spaceTemp: bigint;
  /** Bytes of downloads that are left; null: without limit. */
  trafficLeft: number | null;
  directTraffic: number;
  /** The developer's own pair. */
  readonly clientId: string;
  readonly clientSecret: string;
  readonly tree: Tree;
  readonly transcodeFolder: Entry;
}

interface WorldOptions {
  readonly settings: Settings;
  readonly now: () => number;
}

/** What all endpoints of one fake share. */
export class World {
  readonly settings: Settings;
  readonly users: User[] = [];
  readonly violations: string[] = [];
  /** What the service knows by MD5, whoever brought it. */
  readonly contents = new Map<string, Content>();
  urls: Readonly<Record<Role, string>> = { api: '', upload: '', upload2: '', oss: '', cdn: '' };
  readonly #now: () => number;
  #lateMs = 0;
  #serial = 0n;

  constructor({ settings, now }: WorldOptions) {
    this.settings = settings;
    this.#now = now;
  }

  get now(): number {
    return this.#now() + this.#lateMs;
  }

  advance(milliseconds: number): void {
    this.#lateMs += milliseconds;
  }

  violate(what: string): void {
    this.violations.push(what);
  }

  /** Grows with each, as the order of listings tells. */
  newId(): bigint {
    this.#serial += 1n;
    const first = this.settings.ids === 'huge' ? 9_007_199_254_740_997n : 1_758_176_090_917n;
    return first + this.#serial * 10n;
  }

  createUser({
    nickname = 'ada',
    vip = false,
    vipLevel = 1,
    spacePermanent = 2_199_023_255_552n,
  }: UserOptions = {}): User {
    const tree = new Tree(this.now);
    const transcodeFolder = newEntry(this.newId(), 'folder', '转码空间', null, null, this.now, true);
    const user: User = {
      uid: 1_814_435_000n + BigInt(this.users.length) * 1_000_000_007n,
      nickname,
      vip,
      vipLevel,
      spacePermanent,
      spaceTemp: 0n,
      trafficLeft: null,
      directTraffic: 107_374_182_400,
      clientId: randomBytes(16).toString('hex'),
      clientSecret: randomBytes(16).toString('hex'),
      tree,
      transcodeFolder: tree.add(transcodeFolder),
    };
    this.users.push(user);
    return user;
  }

  /** Remembers the bytes, as the service does. */
  keep(bytes: Buffer): Content {
    const content = contentOf(bytes);
    const known = this.contents.get(content.md5);
    if (known) return known;
    this.contents.set(content.md5, content);
    return content;
  }

  place(user: User, parent: Entry, name: string, content: Content | null): Entry {
    const kind = content ? 'file' : 'folder';
    return user.tree.add(newEntry(this.newId(), kind, name, parent, content, this.now, parent.transcode));
  }
}

/** Beijing time without a zone. */
export const timeText = (milliseconds: number): string =>
  new Date(milliseconds + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');
