import type { ConflictPolicy } from '../drives/driver.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { ConflictError } from '../lib/errors.ts';
import { findChild } from '../transfers/children.ts';
import { entryRow } from '../transfers/folders.ts';
import type { TransferWorks } from '../transfers/open.ts';
import { priorityAmong } from '../transfers/queue.ts';
import type { NewTransfer } from '../transfers/rows.ts';
import { STATE_DEADLINES_MS } from '../transfers/states.ts';
import type { OpenAccount } from './accounts.ts';
import { checkPossible, isRefused, taken } from './copy-rules.ts';
import { type EntryView, type ResolvedEntry, uncancelled } from './entries.ts';
import type { Viewer } from './viewer.ts';

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
  readonly works: TransferWorks;
  readonly clock: Clock;
}

/** Copies and moves between drives: their beginning. */
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
}
