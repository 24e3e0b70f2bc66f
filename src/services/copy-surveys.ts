import { Buffer } from 'node:buffer';
import type { DriveEntry, EntryKind } from '../drives/driver.ts';
import { AlreadyExistsError, DomainError, TooLargeError, UnsupportedError } from '../lib/errors.ts';
import { entryNameKey, PATH_BYTES_MAX } from '../lib/names.ts';
import type { TransferRoute } from '../storage/entities/transfer.ts';
import type { PlanBudget, PlanGap } from './copy-plan-budget.ts';
import { type CopyEnds, routesOf } from './copy-rules.ts';
import { checkFits } from './upload-plans.ts';

/** How one entry would be copied. */
export interface Prospect {
  readonly route: TransferRoute | null;
  readonly routeReason: string | null;
  readonly fallback: TransferRoute | null;
  readonly bytesThroughServer: number | null;
  readonly providerCalls: number | null;
}

/** An entry below a folder that is copied. */
export interface PlanPart extends Prospect {
  /** Its place in the folder, as in `a/b.txt`. */
  readonly path: string;
  readonly kind: EntryKind;
  readonly sizeBytes: number | null;
  /** The path of an entry of the same folder that has the same name, as the drive at the destination sees it. */
  readonly twin: string | null;
  /** Why it would fail; null: nothing is in the way. */
  readonly error: DomainError | null;
}

export interface PlanTotals {
  readonly files: number;
  readonly folders: number;
  /** Of the files that tell their size. */
  readonly bytes: number;
  readonly filesOfUnknownSize: number;
  readonly bytesThroughServer: number;
  /** Files of which no hash is told by which the drive could be asked for their bytes. */
  readonly filesWithoutHash: number;
  readonly conflicts: number;
  /** All that would fail, conflicts included. */
  readonly impossible: number;
  readonly routes: readonly { readonly route: TransferRoute; readonly files: number; readonly bytes: number }[];
}

export interface Survey {
  readonly totals: PlanTotals;
  readonly gap: PlanGap | null;
  readonly parts: readonly PlanPart[];
  readonly bytesThroughServer: number | null;
  readonly providerCalls: number | null;
}

/** One file, or a folder that the provider copies whole: that is not read, and has no totals. */
export function surveyFile(ends: CopyEnds, source: DriveEntry): Prospect & { readonly totals: PlanTotals | null } {
  const prospect = prospectOf(ends, source);
  if (source.kind === 'FOLDER') return { ...prospect, totals: null };
  const sums = new Sums(ends);
  sums.add({ ...prospect, path: source.name, kind: 'FILE', sizeBytes: source.sizeBytes, twin: null, error: null });
  return { ...prospect, totals: sums.totals() };
}

/** How old a listing may be that a plan is made by, in milliseconds: the next page of it reads the folders again. */
const LISTED_MAX_AGE_MS = 30_000;

/** Looks at all that is in a folder, as far as the budget goes: the folders near the top first. */
export async function surveyTree(ends: CopyEnds, source: DriveEntry, budget: PlanBudget): Promise<Survey> {
  const { driver } = ends.opened;
  if (!driver.list) throw new UnsupportedError('The drive of the source does not list folders.', 'LIST');
  const sums = new Sums(ends);
  const parts: PlanPart[] = [];
  let gap: PlanGap | null = null;
  let calls = 0;
  const folders = [{ ref: source.ref, path: '' }];
  for (let folder = folders.shift(); folder && (gap === null || gap === 'UNREADABLE'); folder = folders.shift()) {
    const names = new Map<string, string>();
    for (let cursor: string | null = null; ; ) {
      const limit = budget.takeCall();
      if (limit) return surveyed(limit);
      calls += 1;
      try {
        const page = { cursor, limit: driver.capabilities.listPageMax };
        const call = { signal: budget.signal, maxAgeMs: LISTED_MAX_AGE_MS };
        const { items, nextCursor } = await driver.list(folder.ref, {}, page, call);
        for (const entry of items) {
          if (!budget.takeEntry()) return surveyed('ENTRIES');
          const part = partOf(ends, entry, folder.path, names);
          parts.push(part);
          sums.add(part);
          if (entry.kind === 'FOLDER' && !part.error) folders.push({ ref: entry.ref, path: part.path });
        }
        if (nextCursor === null) break;
        cursor = nextCursor;
      } catch (error) {
        if (budget.isTimeOver) return surveyed('TIME');
        budget.caller.throwIfAborted();
        if (!(error instanceof DomainError) || folder.path === '') throw error;
        const at = parts.findIndex(({ path }) => path === folder?.path);
        const part = parts[at];
        if (part) parts[at] = { ...part, error };
        sums.spoiled();
        gap = 'UNREADABLE';
        break;
      }
    }
  }
  return surveyed(gap);

  function surveyed(limit: PlanGap | null): Survey {
    const totals = sums.totals();
    const isKnown = limit === null && totals.filesOfUnknownSize === 0;
    return {
      totals,
      gap: limit,
      parts,
      bytesThroughServer: isKnown ? totals.bytesThroughServer : null,
      // The pages that were read, a folder each at the destination, and what its files take.
      providerCalls: limit === null && sums.calls !== null ? calls + 1 + totals.folders + sums.calls : null,
    };
  }
}

function partOf(ends: CopyEnds, entry: DriveEntry, above: string, names: Map<string, string>): PlanPart {
  const { capabilities } = ends.folder.driver;
  const path = above === '' ? entry.name : `${above}/${entry.name}`;
  const key = capabilities.caseSensitive ? entry.name : entryNameKey(entry.name);
  const twin = names.get(key) ?? null;
  if (twin === null) names.set(key, path);
  const part = { path, kind: entry.kind, sizeBytes: entry.sizeBytes, twin };
  try {
    if (twin !== null) {
      throw new AlreadyExistsError(`To the drive at the destination it has the name of “${twin}”.`, { existing: null });
    }
    if (Buffer.byteLength(path) > PATH_BYTES_MAX) throw new TooLargeError('The path is longer than one may be.');
    checkFits(entry.name, entry.sizeBytes, capabilities);
    return { ...part, ...prospectOf(ends, entry), error: null };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return { ...part, ...NO_PROSPECT, error };
  }
}

const NO_PROSPECT = { route: null, routeReason: null, fallback: null, bytesThroughServer: 0, providerCalls: 0 };

/** @throws UnsupportedError when there is no way for a file. */
function prospectOf(ends: CopyEnds, source: DriveEntry): Prospect {
  const choices = routesOf(ends, source);
  const [best] = choices;
  if (!best && source.kind === 'FOLDER') return { ...NO_PROSPECT, bytesThroughServer: 0, providerCalls: 0 };
  if (!best) throw new UnsupportedError('The drive at the destination does not take uploads.', 'UPLOAD');
  const sending = choices.find(({ route }) => route === 'SLICED' || route === 'STREAMED');
  const isByServer = best.route === 'SERVER_SIDE';
  return {
    route: best.route,
    routeReason: best.reason,
    fallback: isByServer || best === sending ? null : (sending?.route ?? null),
    bytesThroughServer: isByServer ? 0 : source.sizeBytes,
    // To read it, and nothing to write: of slices, only the drive can say how many it wants.
    providerCalls: isByServer || best.route === 'STREAMED' ? 1 : null,
  };
}

/** Adds up what is found. */
class Sums {
  readonly #wantsHash: boolean;
  readonly #routes = new Map<TransferRoute, { files: number; bytes: number }>();
  readonly #totals = {
    files: 0,
    folders: 0,
    bytes: 0,
    filesOfUnknownSize: 0,
    bytesThroughServer: 0,
    filesWithoutHash: 0,
    conflicts: 0,
    impossible: 0,
  };
  /** Of the files; null: it cannot be said. */
  calls: number | null = 0;

  constructor({ folder: { driver } }: CopyEnds) {
    this.#wantsHash = Boolean(driver.instantUpload ?? driver.upload?.instantHashes?.length);
  }

  add(part: PlanPart): void {
    const totals = this.#totals;
    if (part.twin !== null) totals.conflicts += 1;
    if (part.error) totals.impossible += 1;
    if (part.kind === 'FOLDER') {
      totals.folders += 1;
      return;
    }
    totals.files += 1;
    totals.bytes += part.sizeBytes ?? 0;
    if (part.sizeBytes === null) totals.filesOfUnknownSize += 1;
    totals.bytesThroughServer += part.bytesThroughServer ?? 0;
    this.calls = this.calls === null || part.providerCalls === null ? null : this.calls + part.providerCalls;
    if (part.route === null) return;
    const isAsked = part.route === 'INSTANT' || part.route === 'SERVER_SIDE';
    if (this.#wantsHash && !isAsked) totals.filesWithoutHash += 1;
    const route = this.#routes.get(part.route) ?? { files: 0, bytes: 0 };
    this.#routes.set(part.route, { files: route.files + 1, bytes: route.bytes + (part.sizeBytes ?? 0) });
  }

  /** A folder that was counted turns out to be one that cannot be read. */
  spoiled(): void {
    this.#totals.impossible += 1;
  }

  totals(): PlanTotals {
    const routes = [...this.#routes].map(([route, sums]) => ({ route, ...sums }));
    return { ...this.#totals, routes };
  }
}
