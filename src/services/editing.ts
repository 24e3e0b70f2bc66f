import type { ConflictPolicy, DriveEntry } from '../drives/driver.ts';
import type { Clock } from '../lib/clock.ts';
import { AlreadyExistsError, NotFoundError } from '../lib/errors.ts';
import type { Accounts, OpenAccount } from './accounts.ts';
import type { Copies } from './copies.ts';
import { CopyNaming } from './copy-naming.ts';
import { type Entries, type EntryKey, type EntryTarget, type EntryView, uncancelled } from './entries.ts';
import type { Idempotency } from './idempotency.ts';
import { type Act, type ItemList, ItemLists, type ItemListsOptions, type ItemResult } from './item-lists.ts';
import { checkedName } from './paths.ts';
import { type Rename, type RenameList, Renames } from './renames.ts';
import type { Viewer } from './viewer.ts';

export interface NewFolder {
  readonly parent: EntryTarget;
  readonly name: string;
  readonly idempotencyKey?: string | null | undefined;
}

export interface Relocation extends ItemList {
  readonly destination: EntryTarget;
  /** Default FAIL. */
  readonly onConflict?: ConflictPolicy | null | undefined;
}

export interface Deletion extends ItemList {
  readonly permanently?: boolean | null | undefined;
}

/**
 * What changes the tree of a drive. What was begun is finished even if the caller goes away: who comes again with the
 * same idempotency key gets the whole answer.
 */
export class Editing {
  readonly #accounts: Accounts;
  readonly #entries: Entries;
  readonly #idempotency: Idempotency;
  readonly #copies: Copies;
  readonly #lists: ItemLists;
  readonly #renames: Renames;

  constructor(options: ItemListsOptions & { readonly copies: Copies; readonly clock: Clock }) {
    this.#copies = options.copies;
    this.#accounts = options.accounts;
    this.#entries = options.entries;
    this.#idempotency = options.idempotency;
    this.#lists = new ItemLists(options);
    this.#renames = new Renames({ ...options, lists: this.#lists });
  }

  /** @throws AlreadyExistsError when the name is taken; InvalidInputError, NotFoundError and the errors of drives. */
  async createFolder(viewer: Viewer, { parent, name, idempotencyKey }: NewFolder): Promise<EntryView> {
    checkedName(name, ['input', 'name']);
    const fresh: { view?: EntryView } = {};
    const request = { operation: 'createFolder', key: idempotencyKey, input: { parent, name } };
    const key = await this.#idempotency.once<EntryKey>(viewer, request, async ({ since }) => {
      const call = uncancelled();
      const opened = await this.#entries.resolveFolder(viewer, parent, ['input', 'parent'], call);
      const entry = await unlessMade(opened, since, () => opened.run('createFolder', opened.entry.ref, name, call));
      fresh.view = { account: opened.account, entry };
      return { accountId: opened.account.id, ref: entry.ref };
    });
    return fresh.view ?? this.#entries.resolve(viewer, key);
  }

  /** @throws ConflictError when the revision is another; AlreadyExistsError, and as {@link createFolder}. */
  async rename(viewer: Viewer, { entry, name, ifRevision }: Rename): Promise<EntryView> {
    checkedName(name, ['input', 'name']);
    const call = uncancelled();
    const opened = await this.#entries.resolve(viewer, entry, call);
    const options = ifRevision == null ? {} : { ifRevision };
    return { account: opened.account, entry: await opened.run('rename', opened.entry.ref, name, options, call) };
  }

  /** Renames each entry where it is: see {@link Renames.all}. */
  renameMany(viewer: Viewer, list: RenameList): Promise<readonly ItemResult[]> {
    return this.#renames.all(viewer, list);
  }

  /** Moves each entry into a folder, of its own drive or another: then by a transfer. @throws NotFoundError and InvalidInputError for the destination. */
  move(viewer: Viewer, relocation: Relocation): Promise<readonly ItemResult[]> {
    return this.#relocate(viewer, 'move', relocation);
  }

  /** Copies each entry into a folder, of its own drive or another: then by a transfer. @throws NotFoundError and InvalidInputError for the destination. */
  copy(viewer: Viewer, relocation: Relocation): Promise<readonly ItemResult[]> {
    return this.#relocate(viewer, 'copy', relocation);
  }

  /** Puts each entry into the recycle bin, or deletes it for ever. */
  delete(viewer: Viewer, { permanently, ...list }: Deletion): Promise<readonly ItemResult[]> {
    const operation = permanently ? 'removePermanently' : 'remove';
    return this.#lists.each(viewer, {
      operation,
      list,
      prepare:
        async ({ since }, call) =>
        async ({ opened, ref, options }) => {
          try {
            await opened.run(operation, ref, options, call);
          } catch (error) {
            const wasDoneBefore = since !== null && error instanceof NotFoundError;
            if (!wasDoneBefore) throw error;
          }
          return null;
        },
    });
  }

  /** Puts each entry of a recycle bin back to where it was. */
  restore(viewer: Viewer, entries: readonly EntryTarget[]): Promise<readonly ItemResult[]> {
    return this.#lists.each(viewer, {
      operation: 'restore',
      list: { entries, field: 'ids' },
      prepare:
        async (_attempt, call) =>
        ({ opened, ref }) =>
          opened.run('recycleBin.restore', ref, call),
    });
  }

  /** Deletes each entry of a recycle bin for ever. */
  purge(viewer: Viewer, entries: readonly EntryTarget[]): Promise<readonly ItemResult[]> {
    return this.#lists.each(viewer, {
      operation: 'purge',
      list: { entries, field: 'ids' },
      prepare:
        async (_attempt, call) =>
        async ({ opened, ref }) => {
          await opened.run('recycleBin.purge', ref, call);
          return null;
        },
    });
  }

  /** Deletes all that is in the recycle bin for ever. */
  async emptyRecycleBin(viewer: Viewer, accountId: string): Promise<void> {
    const { run } = await this.#accounts.open(viewer, accountId);
    await run('recycleBin.empty', uncancelled());
  }

  #relocate(viewer: Viewer, operation: 'move' | 'copy', relocation: Relocation): Promise<readonly ItemResult[]> {
    const { destination, onConflict: policy, ...list } = relocation;
    const onConflict = policy ?? 'FAIL';
    return this.#lists.each(viewer, {
      operation,
      list,
      input: { destination, onConflict },
      prepare: async (attempt, call): Promise<Act> => {
        const { since } = attempt;
        const naming = new CopyNaming(attempt, call);
        const folder = await this.#entries.resolveFolder(viewer, destination, ['input', 'destination'], call);
        return async ({ opened, ref, options }) => {
          if (opened.account.id !== folder.account.id || isCopiedBySending(operation, opened)) {
            const kind = operation === 'copy' ? 'COPY' : 'MOVE';
            const among = list.entries.length;
            return this.#copies.begin(viewer, { kind, opened, ref, folder, onConflict, among, since, ...options });
          }
          const relocate = () => opened.run(operation, ref, folder.entry.ref, { onConflict, ...options }, call);
          if (operation !== 'copy') return relocate();
          if (onConflict === 'RENAME') return naming.copy(opened, ref, folder.entry.ref, options);
          return onConflict === 'FAIL' ? unlessMade(opened, since, relocate) : relocate();
        };
      },
    });
  }
}

/** A drive that does not copy by itself, but takes uploads, gets what it has once more. */
const isCopiedBySending = (operation: string, { driver }: OpenAccount): boolean =>
  operation === 'copy' && !driver.copy && Boolean(driver.adopt ?? driver.upload);

/**
 * Makes an entry; in an attempt after a crash, finds it made by the attempt that died: what has the name, and came after
 * the request.
 */
export async function unlessMade(
  { driver }: OpenAccount,
  since: Date | null,
  make: () => Promise<DriveEntry>,
): Promise<DriveEntry> {
  try {
    return await make();
  } catch (error) {
    if (since === null || !(error instanceof AlreadyExistsError) || error.existing === null) throw error;
    const existing = await driver.stat(error.existing.ref, uncancelled());
    if (existing.createdAt === null || existing.createdAt < since) throw error;
    return existing;
  }
}
