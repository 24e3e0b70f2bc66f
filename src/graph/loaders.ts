import DataLoader from 'dataloader';
import { type Allowance, NotFoundError } from '../lib/errors.ts';
import type { BatchView } from '../services/batches.ts';
import type { EntryKey, EntryView } from '../services/entries.ts';
import type { Services } from '../services/services.ts';
import type { TransferView } from '../services/transfers.ts';
import type { Viewer } from '../services/viewer.ts';
import type { Account } from '../storage/entities/account.ts';
import { encodeEntryKey } from './ids.ts';

/** Batching reads by key, one set for each operation: what was loaded in one operation is never shown in another. */
export interface Loaders {
  /** Null: there is none, or it is not the viewer's to see. */
  readonly account: DataLoader<string, Account | null>;
  /** Null: there is none, or it is not the viewer's to see. Rejects when its provider fails. */
  readonly entry: DataLoader<EntryKey, EntryView | null, string>;
  /** Null: there is none, or it is not the viewer's. */
  readonly batch: DataLoader<string, BatchView | null>;
  /** Null: there is none, or it is not the viewer's. */
  readonly transfer: DataLoader<string, TransferView | null>;
  /** The folder of an entry that tells no parent, by its path; one question for all in the same folder. */
  readonly parent: DataLoader<EntryView, EntryView | null, EntryView | string>;
  /** Today's allowance of downloads by the user's id; null: there is no such user. */
  readonly allowance: DataLoader<string, Allowance | null>;
}

/** @param signal Ends what is still asked. */
export function createLoaders(services: Services, viewer: Viewer | null, signal: AbortSignal): Loaders {
  return {
    account: new DataLoader(async (ids) => {
      const accounts = viewer ? await services.accounts.visibleMany(viewer, ids) : new Map<string, Account>();
      return ids.map((id) => accounts.get(id) ?? null);
    }),
    entry: new DataLoader<EntryKey, EntryView | null, string>(
      async (keys) => (viewer ? services.entries.findMany(viewer, keys, { signal }) : keys.map(() => null)),
      { cacheKeyFn: ({ accountId, ref }) => encodeEntryKey(accountId, ref) },
    ),
    batch: new DataLoader(async (ids) => (viewer ? services.batches.findMany(viewer, ids) : ids.map(() => null))),
    transfer: new DataLoader(async (ids) => (viewer ? services.transfers.findMany(viewer, ids) : ids.map(() => null))),
    parent: new DataLoader<EntryView, EntryView | null, EntryView | string>(
      (views) =>
        Promise.all(views.map((view) => services.entries.parentOf(view, { signal }).catch((error: Error) => error))),
      {
        cacheKeyFn: (view) => {
          const path = services.entries.folderPathOf(view);
          return path === null ? view : `${view.account.id} ${path}`;
        },
      },
    ),
    allowance: new DataLoader(async (userIds) => {
      const allowances = await services.allowances.ofMany(userIds);
      return userIds.map((id) => allowances.get(id) ?? null);
    }),
  };
}

/** What a loader gave, where there must be something. @throws NotFoundError */
export async function found<Item>(loading: Promise<Item | null>, message: string): Promise<Item> {
  const item = await loading;
  if (item === null) throw new NotFoundError(message);
  return item;
}
