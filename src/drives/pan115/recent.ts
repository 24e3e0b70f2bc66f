import { LRUCache } from 'lru-cache';
import { Flights } from '../../lib/flights.ts';
import type { Pan115Services } from '../cloud.ts';
import type { WireFile } from './wire.ts';

/**
 * What was just made, renamed or uploaded may be missing from 115's answers for so long, in milliseconds: clients saw up
 * to 10 s.
 */
export const LAG_MS = 15_000;
const MADE_MAX = 2_000;
const ADDRESSES_MAX = 2_000;

/** Where the bytes of a file are for a while. */
export interface Address {
  readonly url: string;
  /** Without which the host refuses: the User-Agent that asked, and a cookie where the address wants one. */
  readonly headers: Readonly<Record<string, string>>;
  /** Connections that it allows at a time; null: not told, or without limit. */
  readonly connections: number | null;
  /** When it runs out by its own word; null: not told. */
  readonly endsAt: Date | null;
}

export interface HeldAddress {
  readonly file: WireFile;
  readonly address: Address;
  readonly untilMs: number;
}

/** What this process knows of an account better than 115's lists, or need not ask again. */
export class Recent {
  readonly #made = new LRUCache<string, { readonly file: WireFile; readonly atMs: number }>({ max: MADE_MAX });
  readonly #addresses = new LRUCache<string, HeldAddress>({ max: ADDRESSES_MAX });
  /** Addresses being asked for, by file. */
  readonly asking = new Flights<Address>();
  readonly #now: () => Date;

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** 115 said itself that this is so, in answer to the call that made or changed it. */
  made(file: WireFile): WireFile {
    this.#made.set(file.id, { file, atMs: this.#now().getTime() });
    return file;
  }

  /** What was made a moment ago; null when it is long enough ago for 115 to know it. */
  find(ref: string): WireFile | null {
    const known = this.#made.get(ref);
    if (!known || !this.#isFresh(known.atMs)) return null;
    return known.file;
  }

  /** What was put directly into a folder a moment ago. */
  in(folderRef: string): readonly WireFile[] {
    return [...this.#made.values()]
      .filter(({ file, atMs }) => file.parentId === folderRef && this.#isFresh(atMs))
      .map(({ file }) => file);
  }

  /** It was deleted: a folder with whatever is below it, of which nobody here knows what it is. */
  gone({ id, isFolder }: Pick<WireFile, 'id' | 'isFolder'>): void {
    this.#addresses.delete(id);
    this.#made.delete(id);
    if (!isFolder) return;
    this.#addresses.clear();
    this.#made.clear();
  }

  address(ref: string): HeldAddress | null {
    const held = this.#addresses.get(ref);
    return held && this.#now().getTime() < held.untilMs ? held : null;
  }

  keepAddress(held: HeldAddress): void {
    this.#addresses.set(held.file.id, held);
  }

  /** It is of no use any more; a newer one stays. */
  dropAddress({ file, address }: Pick<HeldAddress, 'file' | 'address'>): void {
    if (this.#addresses.get(file.id)?.address === address) this.#addresses.delete(file.id);
  }

  #isFresh(atMs: number): boolean {
    return this.#now().getTime() - atMs < LAG_MS;
  }
}

/** By what a process speaks with, then by account: drivers of one account share it, however often they are opened. */
const KNOWN = new WeakMap<Pan115Services['outbound'], LRUCache<string, Recent>>();
const ACCOUNTS_MAX = 500;

export function recentOf({ outbound, clock }: Pan115Services, accountId: string): Recent {
  const accounts = KNOWN.get(outbound) ?? new LRUCache<string, Recent>({ max: ACCOUNTS_MAX });
  KNOWN.set(outbound, accounts);
  const recent = accounts.get(accountId) ?? new Recent(() => clock.now());
  accounts.set(accountId, recent);
  return recent;
}
