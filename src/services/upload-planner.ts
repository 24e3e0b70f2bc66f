import type { ConflictPolicy, DriveEntry, Hashes } from '../drives/driver.ts';
import { AlreadyExistsError, type InputIssue, StorageFullError, UnsupportedError } from '../lib/errors.ts';
import { newId } from '../lib/ids.ts';
import { plainMimeType } from '../lib/mime-type.ts';
import type { TransferKind } from '../storage/entities/transfer.ts';
import { findChild } from '../transfers/children.ts';
import { wantedHashes } from '../transfers/hasher.ts';
import type { TransferWorks } from '../transfers/open.ts';
import type { NewTransfer } from '../transfers/rows.ts';
import { type Entries, type EntryTarget, type ResolvedEntry, uncancelled } from './entries.ts';
import type { Idempotency } from './idempotency.ts';
import type { Transfers } from './transfers.ts';
import { checkFits, checkPlan, type PromisedHash, promisedHashes } from './upload-plans.ts';
import type { Viewer } from './viewer.ts';

export interface PlannedUpload {
  readonly parent: EntryTarget;
  /** Null: the source will tell; until then it is `provisionalName`. */
  readonly name: string | null;
  readonly provisionalName?: string;
  /** Null: the source will tell. */
  readonly sizeBytes: number | null;
  readonly hashes?: readonly PromisedHash[] | null | undefined;
  readonly onConflict?: ConflictPolicy | null | undefined;
  readonly mimeType?: string | null;
}

/** A transfer that can begin, as far as can be known before its bytes. */
export interface Plan {
  readonly folder: ResolvedEntry;
  /** What has the name already. */
  readonly existing: DriveEntry | null;
  readonly expectedHashes: Hashes;
  readonly row: Omit<NewTransfer, 'state' | 'source'> & { readonly id: string; readonly onConflict: ConflictPolicy };
}

/** What a new transfer is part of. */
export interface Placing {
  /** Its id; left out: a new one. A transfer that has it already is the answer. */
  readonly id?: string;
  readonly batchId?: string;
  /** {@link Transfer.priority}; left out: somebody waits for it. */
  readonly priority?: number;
}

export interface PlannerParts {
  readonly works: TransferWorks;
  readonly transfers: Transfers;
  readonly entries: Entries;
  readonly idempotency: Idempotency;
}

/** What all ways of bringing a file in have in common before its bytes. */
export class UploadPlanner {
  readonly #parts: PlannerParts;

  constructor(parts: PlannerParts) {
    this.#parts = parts;
  }

  /** Does `make` once for a key; a repetition, also after a crash, gets the same id. */
  once(
    viewer: Viewer,
    request: { readonly operation: string; readonly key: string | null | undefined; readonly input: unknown },
    make: (id: string) => Promise<void>,
    placing: Placing = {},
  ): Promise<string> {
    const { idempotency, works } = this.#parts;
    return idempotency.once<string, string>(viewer, request, async ({ parts, keep }) => {
      const id = parts[0] ?? placing.id ?? newId();
      const isRepeated = parts.length > 0 || placing.id !== undefined;
      if (parts.length === 0) await keep(id);
      if (isRepeated && (await works.store.find(id))) return id;
      await make(id);
      return id;
    });
  }

  /**
   * Checks all that can be known before the bytes.
   * @throws InvalidInputError, NotFoundError (parent), AlreadyExistsError (by the policy), UnsupportedError,
   * TooLargeError; what the drive throws.
   */
  async plan(
    viewer: Viewer,
    { id, batchId, priority = 0, kind }: Placing & { readonly id: string; readonly kind: TransferKind },
    input: PlannedUpload,
  ): Promise<Plan> {
    const issues: InputIssue[] = [];
    const expectedHashes = promisedHashes(input.hashes ?? [], issues);
    checkPlan(input.name, input.sizeBytes, issues);
    const folder = await this.#parts.entries.resolveFolder(viewer, input.parent, ['input', 'parent']);
    const { driver, account } = folder;
    if (!driver.adopt && !driver.upload) throw new UnsupportedError('This drive does not take uploads.', 'UPLOAD');
    checkFits(input.name, input.sizeBytes, driver.capabilities);

    const onConflict = input.onConflict ?? 'FAIL';
    const existing = input.name === null ? null : await findChild(driver, folder.entry.ref, input.name, uncancelled());
    if (existing && isRefused(existing, onConflict)) {
      throw new AlreadyExistsError(`There is already “${existing.name}” in this folder.`, {
        existing: { accountId: account.id, ref: existing.ref },
      });
    }
    return {
      folder,
      existing,
      expectedHashes,
      row: {
        id,
        batchId: batchId ?? null,
        priority,
        userId: viewer.userId,
        kind,
        accountId: account.id,
        parentRef: folder.entry.ref,
        name: input.name ?? input.provisionalName ?? '',
        onConflict,
        bytesTotal: input.sizeBytes,
        mimeType: plainMimeType(input.mimeType),
        expectedHashes,
        hashAlgorithms: wantedHashes(expectedHashes, driver),
      },
    };
  }

  /** Whether the policy leaves what has the name: then the transfer is done, with that. */
  async isSkipped({ existing, row }: Plan): Promise<boolean> {
    if (!existing || row.onConflict !== 'SKIP') return false;
    await this.#parts.transfers.recordDone({ ...row, entryRef: existing.ref, route: null, bytesDone: 0 });
    return true;
  }

  /** @throws StorageFullError, which may pass. */
  async checkRoom(sizeBytes: number): Promise<void> {
    if (await this.#parts.works.spool.hasRoom(sizeBytes)) return;
    throw new StorageFullError('The server has no room for this file just now.', { retryable: true });
  }
}

/** Whether what has the name stands in the way for good. */
const isRefused = ({ kind }: DriveEntry, onConflict: ConflictPolicy): boolean =>
  onConflict === 'FAIL' || (onConflict === 'REPLACE' && kind === 'FOLDER');
