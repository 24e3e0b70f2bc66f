import type { ConflictPolicy, DriveEntry } from '../drives/driver.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { AlreadyExistsError, ConflictError, type DomainError, UnsupportedError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { TransferRoute } from '../storage/entities/transfer.ts';
import { findChild } from '../transfers/children.ts';
import { entryRow } from '../transfers/folders.ts';
import type { TransferWorks } from '../transfers/open.ts';
import { priorityAmong } from '../transfers/queue.ts';
import { type RouteChoice, routesInto } from '../transfers/routes.ts';
import type { NewTransfer } from '../transfers/rows.ts';
import { STATE_DEADLINES_MS } from '../transfers/states.ts';
import type { Accounts, OpenAccount } from './accounts.ts';
import { type Entries, type EntryTarget, type EntryView, type ResolvedEntry, uncancelled } from './entries.ts';
import { checkLengths } from './item-lists.ts';
import { toldOf } from './unexpected.ts';
import { checkFits } from './upload-plans.ts';
import type { Viewer } from './viewer.ts';

export interface CopyPlanRequest {
  readonly entries: readonly EntryTarget[];
  readonly destination: EntryTarget;
  /** Default FAIL. */
  readonly onConflict?: ConflictPolicy | null | undefined;
}

/** What copying one entry would take; nothing was changed to find out. */
export interface CopyPlanItem {
  /** Null: it was not found. */
  readonly source: EntryView | null;
  /** Null: there is no way, or (of a folder) each of its files takes its own. */
  readonly route: TransferRoute | null;
  readonly routeReason: string | null;
  /** The way that is taken where the drive turns out not to have the bytes. */
  readonly fallback: TransferRoute | null;
  /** At most so many bytes pass this server; null: not known before the folder is read, or the size is not told. */
  readonly bytesThroughServer: number | null;
  /** Requests to providers, with the best route; null: it cannot be said before the drive is asked. */
  readonly providerCalls: number | null;
  /** What has the name at the destination. */
  readonly conflict: EntryView | null;
  readonly error: DomainError | null;
}

/** How an entry is to be copied or moved into a folder of another drive, or of one that does not copy by itself. */
export interface CopyRequest {
  readonly kind: 'COPY' | 'MOVE';
  readonly opened: OpenAccount;
  readonly ref: string;
  readonly ifRevision?: string | undefined;
  readonly folder: ResolvedEntry;
  readonly onConflict: ConflictPolicy;
  /** How many are asked for together. */
  readonly among: number;
  /** When the first attempt began, if this one goes on after one that died. */
  readonly since: Date | null;
}

/** The job that does it, or what has the name already and stays. */
export type CopyBegun = { readonly transferId: string } | { readonly stays: EntryView };

export interface CopiesOptions {
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly works: TransferWorks;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Copies and moves between drives: what they would take, and their beginning. */
export class Copies {
  readonly #options: CopiesOptions;

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  /**
   * Begins a transfer. All that can be known before is checked first, so that what cannot work is told at once.
   * @throws NotFoundError, ConflictError (another revision), AlreadyExistsError, UnsupportedError, TooLargeError.
   */
  async begin(viewer: Viewer, request: CopyRequest): Promise<CopyBegun> {
    const { kind, opened, ref, ifRevision, folder, onConflict, among, since } = request;
    const { store } = this.#options.works;
    const { account, entry: parent, driver } = folder;
    const made = since && (await store.findCopy({ userId: viewer.userId, since, ref, parentRef: parent.ref }));
    if (made) return { transferId: made.id };
    const source = await opened.driver.stat(ref, uncancelled());
    if (ifRevision !== undefined && source.revision !== ifRevision) {
      throw new ConflictError(`“${source.name}” has another revision by now. Look at it again.`);
    }
    checkPossible(request, source);
    const existing = await findChild(driver, parent.ref, source.name, uncancelled());
    if (existing && onConflict === 'SKIP') return { stays: { account, entry: existing } };
    if (existing && isRefused(existing, source, onConflict)) throw taken(account.id, existing);

    const sameProvider = account.provider === opened.account.provider;
    const isFolder = source.kind === 'FOLDER';
    const row: NewTransfer = {
      ...entryRow(driver, { accountId: opened.account.id, ref, sameProvider }, source),
      userId: viewer.userId,
      kind,
      accountId: account.id,
      parentRef: parent.ref,
      onConflict,
      priority: priorityAmong(among),
      ...(isFolder ? { itemsTotal: 0, itemsSucceeded: 0, itemsFailed: 0, itemsCancelled: 0 } : {}),
      expiresAt: addMs(this.#options.clock.now(), STATE_DEADLINES_MS.QUEUED),
    };
    return { transferId: (await store.create(row)).id };
  }

  /** What it would take to copy the entries. @throws InvalidInputError and NotFoundError for the destination. */
  async plan(viewer: Viewer, { entries, destination, onConflict }: CopyPlanRequest): Promise<readonly CopyPlanItem[]> {
    checkLengths({ entries, field: 'entries' });
    const folder = await this.#options.entries.resolveFolder(viewer, destination, ['destination']);
    const items: CopyPlanItem[] = [];
    for (const target of entries) items.push(await this.#planOne(viewer, target, folder, onConflict ?? 'FAIL'));
    return items;
  }

  async #planOne(
    viewer: Viewer,
    target: EntryTarget,
    folder: ResolvedEntry,
    onConflict: ConflictPolicy,
  ): Promise<CopyPlanItem> {
    let item: CopyPlanItem = NOTHING;
    try {
      const { entry: source, ...opened } = await this.#options.entries.resolve(viewer, target);
      item = { ...item, source: { account: opened.account, entry: source } };
      const there = await findChild(folder.driver, folder.entry.ref, source.name, uncancelled());
      item = { ...item, conflict: there && { account: folder.account, entry: there } };
      const choices = routesOf(opened, folder, source);
      if (choices[0]?.route !== 'SERVER_SIDE') checkPossible({ kind: 'COPY', opened, folder }, source);
      if (there && isRefused(there, source, onConflict)) throw taken(folder.account.id, there);
      if (there && onConflict === 'SKIP') {
        return { ...item, routeReason: 'What has the name stays, and nothing is copied.', bytesThroughServer: 0 };
      }
      return { ...item, ...prospectOf(choices, source) };
    } catch (error) {
      return { ...item, error: toldOf(error, this.#options.log) };
    }
  }
}

const NOTHING: CopyPlanItem = {
  source: null,
  route: null,
  routeReason: null,
  fallback: null,
  bytesThroughServer: null,
  providerCalls: null,
  conflict: null,
  error: null,
};

type Ends = Pick<CopyRequest, 'opened' | 'folder'>;

function routesOf(opened: OpenAccount, folder: ResolvedEntry, source: DriveEntry): readonly RouteChoice[] {
  const isSame = opened.account.id === folder.account.id;
  const isSameProvider = opened.account.provider === folder.account.provider;
  return routesInto(folder.driver, {
    from: isSame ? 'sameAccount' : isSameProvider ? 'sameProvider' : 'elsewhere',
    kind: source.kind,
    hashes: source.hashes,
    sizeBytes: source.sizeBytes,
  });
}

function prospectOf(choices: readonly RouteChoice[], source: DriveEntry): Partial<CopyPlanItem> {
  const [best] = choices;
  if (!best)
    return { routeReason: 'The folder is read first; then each of its files takes the best route of its own.' };
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

/** @throws UnsupportedError, TooLargeError, InvalidInputError for what cannot work whatever is tried. */
function checkPossible({ kind, opened, folder }: Ends & Pick<CopyRequest, 'kind'>, source: DriveEntry): void {
  const { driver } = folder;
  if (!driver.adopt && !driver.upload && !(source.kind === 'FILE' && driver.copyFromAccount)) {
    throw new UnsupportedError('The drive at the destination does not take uploads.', 'UPLOAD');
  }
  if (source.kind === 'FOLDER' && opened.account.id === folder.account.id) {
    throw new UnsupportedError('This drive does not copy folders.', 'COPY');
  }
  if (source.kind === 'FOLDER' && !driver.createFolder) {
    throw new UnsupportedError('The drive at the destination does not make folders.', 'CREATE_FOLDER');
  }
  if (source.ref === opened.driver.rootRef) {
    throw new UnsupportedError(
      'The root of a drive has no name to be copied or moved under. Name what is in it.',
      null,
    );
  }
  if (kind === 'MOVE' && !opened.driver.remove && !opened.driver.removePermanently) {
    throw new UnsupportedError('The drive of the source does not delete, so nothing can be moved out of it.', 'DELETE');
  }
  checkFits(source.name, source.sizeBytes, driver.capabilities);
}

/** As a drive itself does it: a folder is never replaced, and takes no file's place. */
const isRefused = (existing: DriveEntry, source: DriveEntry, onConflict: ConflictPolicy): boolean =>
  onConflict === 'FAIL' || (onConflict === 'REPLACE' && (existing.kind === 'FOLDER' || source.kind === 'FOLDER'));

const taken = (accountId: string, { name, ref }: DriveEntry): AlreadyExistsError =>
  new AlreadyExistsError(`There is already “${name}” in this folder.`, { existing: { accountId, ref } });
