import { LockMode, raw } from '@mikro-orm/core';
import { addMs } from '../lib/clock.ts';
import { UnavailableError } from '../lib/errors.ts';
import { Transfer, type TransferKind, type TransferState } from '../storage/entities/transfer.ts';
import type { EntityManager } from '../storage/orm.ts';
import { storedFailureOf, UNTRIED } from './failures.ts';
import { rowOf } from './rows.ts';
import {
  COMMIT_PHASE,
  FINAL_STATES,
  isFinal,
  RETRY_WINDOW_MS,
  STATE_DEADLINES_MS,
  stateAfter,
  statesBefore,
  type TransferAction,
} from './states.ts';

/**
 * A folder that is copied is a tree: one transfer that its owner sees, and an item, which is a transfer too, for each
 * file and folder below it. While its items are at work the tree is RUNNING without a lease: no worker holds it. It counts
 * its items; the transaction that ends the last one ends the tree. What is done here belongs to the transaction of the
 * change that it follows. However large a tree is, a process holds a page of a folder of it at most, and the items that
 * it has under way: tree-memory.test.ts has the numbers.
 */

/** The phase of a tree whose items are at work. */
export const ITEMS_PHASE = 'SENDING';

/** What is wished for an item cannot be, as its tree stands. The transaction of the change is rolled back. */
export class TreeRefusedError extends Error {
  override readonly name = 'TreeRefusedError';
}

/**
 * What a change of an item means for its tree: it counts, ends with its last item, and is open again for one that is
 * retried. Gives the tree where its owner is to be told of it.
 * @throws TreeRefusedError
 */
export async function noteItem(
  em: EntityManager,
  { treeId, bytesTotal, bytesReceived, bytesSent }: Transfer,
  action: TransferAction,
  now: Date,
): Promise<Transfer | null> {
  if (treeId == null) return null;
  switch (action) {
    case 'succeed': {
      const counted = {
        itemsSucceeded: raw('items_succeeded + 1'),
        bytesDone: raw('bytes_done + ?', [bytesTotal ?? 0]),
        bytesReceived: raw('bytes_received + ?', [bytesReceived]),
        bytesSent: raw('bytes_sent + ?', [bytesSent]),
      };
      await count(em, treeId, counted, now);
      return settleTree(em, treeId, now);
    }
    case 'fail':
      await count(em, treeId, { itemsFailed: raw('items_failed + 1') }, now);
      return settleTree(em, treeId, now);
    case 'cancel': {
      const counted = { itemsCancelled: raw('coalesce(items_cancelled, 0) + 1'), bytesTotal: without(bytesTotal ?? 0) };
      await count(em, treeId, { ...counted, revision: raw('revision + 1') }, now);
      return (await settleTree(em, treeId, now)) ?? rowOf(em, treeId);
    }
    case 'resume':
      await openTree(em, treeId);
      return null;
    case 'retry':
      return reopen(em, await openTree(em, treeId, 'FAILED'), now);
    default:
      return null;
  }
}

/**
 * In one statement, so that no change of the tree comes between. Its lock lets the ends of other items wait, so that one
 * of them sees that it is the last. A pause has its own deadline, which is later.
 */
function count(em: EntityManager, treeId: string, counted: object, now: Date): Promise<number> {
  const expiresAt = raw(`case when state = 'PAUSED' then expires_at else ? end`, [
    addMs(now, STATE_DEADLINES_MS.RUNNING),
  ]);
  return em.nativeUpdate(Transfer, { id: treeId, state: { $nin: [...FINAL_STATES] } }, { ...counted, expiresAt });
}

/** The bytes of what was left out are no part of the whole any more. */
const without = (bytes: number) => raw('case when bytes_total > ? then bytes_total - ? else 0 end', [bytes, bytes]);

/** The tree, locked, if its items may be at work, or if it is in the state that is allowed beside. */
async function openTree(em: EntityManager, id: string, orIn?: TransferState): Promise<Transfer> {
  const lockMode = LockMode.PESSIMISTIC_WRITE;
  const tree = await em.findOne(Transfer, { id }, { lockMode, disableIdentityMap: true });
  if (tree && (tree.state === orIn || tree.state === 'QUEUED' || tree.state === 'RUNNING')) return tree;
  throw new TreeRefusedError();
}

/** An item is tried again: the tree that ended goes on, for this one. What failed beside it stays so. */
async function reopen(em: EntityManager, { id, state, listing }: Transfer, now: Date): Promise<Transfer> {
  // A tree that failed before its folder was read would read on, and that is more than one item.
  if (state === 'FAILED' && !listing?.done) throw new TreeRefusedError();
  const again = {
    state: stateAfter('retry'),
    phase: 'LISTING' as const,
    failure: null,
    finishedAt: null,
    ...UNTRIED,
    runAfter: now,
    expiresAt: addMs(now, STATE_DEADLINES_MS.QUEUED),
    fence: raw('fence + 1'),
  };
  await em.nativeUpdate(Transfer, { id }, { ...(state === 'FAILED' ? again : {}), revision: raw('revision + 1') });
  await recount(em, id);
  return rowOf(em, id);
}

/** Ends the tree if all its items have ended. Of a move that went well, the folders of the source are still to go. */
export async function settleTree(em: EntityManager, treeId: string, now: Date): Promise<Transfer | null> {
  const tree = await em.findOne(Transfer, { id: treeId }, { disableIdentityMap: true });
  if (tree?.state !== 'RUNNING' || tree.phase !== ITEMS_PHASE || tree.leaseUntil != null) return null;
  const { itemsTotal, itemsSucceeded, itemsFailed, itemsCancelled } = tree;
  const total = itemsTotal ?? 0;
  const failed = itemsFailed ?? 0;
  const cancelled = itemsCancelled ?? 0;
  if ((itemsSucceeded ?? 0) + failed + cancelled < total) return null;
  const action =
    failed > 0 ? 'fail' : total > 0 && cancelled === total ? 'cancel' : tree.kind === 'MOVE' ? 'requeue' : 'succeed';
  await em.nativeUpdate(
    Transfer,
    { id: treeId },
    {
      state: stateAfter(action),
      revision: raw('revision + 1'),
      fence: raw('fence + 1'),
      ...(action === 'requeue'
        ? { phase: COMMIT_PHASE, runAfter: now, expiresAt: addMs(now, STATE_DEADLINES_MS.QUEUED) }
        : { phase: null, finishedAt: now, expiresAt: null, failure: failed > 0 ? incomplete(tree, failed) : null }),
    },
  );
  return rowOf(em, treeId);
}

const incomplete = ({ itemsTotal, kind }: Transfer, failed: number) =>
  storedFailureOf(
    new UnavailableError(
      `${failed} of ${itemsTotal} items could not be ${DONE[kind] ?? 'done'}; each says why. A retry tries these again.`,
    ),
  );

const DONE: Partial<Record<TransferKind, string>> = { COPY: 'copied', MOVE: 'moved' };

/** What happens to a tree happens to its items, except those that are just being finished. */
export async function spreadToItems(
  em: EntityManager,
  tree: Transfer,
  action: TransferAction,
  now: Date,
): Promise<void> {
  const open = { treeId: tree.id, $or: [{ state: { $ne: 'RUNNING' as const } }, NOT_COMMITTING] };
  switch (action) {
    case 'pause':
      return follow(em, { ...open, state: { $in: allowed(action) } }, { state: 'PAUSED', expiresAt: null });
    case 'resume':
      return follow(em, { treeId: tree.id, state: 'PAUSED' }, { state: 'QUEUED', ...resumed(now) });
    case 'cancel':
      await follow(em, { ...open, state: { $in: allowed(action) } }, ended(now, 'CANCELLED'));
      return recount(em, tree.id);
    case 'fail': {
      const { failure } = tree;
      const expiresAt = addMs(now, RETRY_WINDOW_MS);
      await follow(em, { ...open, state: { $in: allowed(action) } }, { ...ended(now, 'FAILED'), failure, expiresAt });
      return recount(em, tree.id);
    }
    case 'retry': {
      const phase = raw(`case when listing is null then 'RECEIVING' else 'LISTING' end`);
      const fresh = { phase, ...UNTRIED, failure: null, finishedAt: null, expiresAt: null, runAfter: now };
      await follow(em, { treeId: tree.id, state: 'FAILED' }, { state: 'QUEUED', ...fresh });
      return recount(em, tree.id);
    }
  }
}

/** Counts the items anew, the tree's row being locked: what was just being finished when the tree ended was not counted. */
async function recount(em: EntityManager, treeId: string): Promise<void> {
  const [counted] = await em.execute<Counted[]>(
    `select coalesce(sum(case when state = 'SUCCEEDED' then 1 else 0 end), 0) as succeeded,
       coalesce(sum(case when state = 'FAILED' then 1 else 0 end), 0) as failed,
       coalesce(sum(case when state = 'CANCELLED' then 1 else 0 end), 0) as cancelled,
       coalesce(sum(case when state = 'SUCCEEDED' then bytes_total else 0 end), 0) as bytes,
       coalesce(sum(case when state = 'SUCCEEDED' then bytes_received else 0 end), 0) as received,
       coalesce(sum(case when state = 'SUCCEEDED' then bytes_sent else 0 end), 0) as sent
     from transfers where tree_id = ?`,
    [treeId],
  );
  const numberOf = (name: keyof Counted): number => Number(counted?.[name] ?? 0);
  await em.nativeUpdate(
    Transfer,
    { id: treeId },
    {
      itemsSucceeded: numberOf('succeeded'),
      itemsFailed: numberOf('failed'),
      itemsCancelled: numberOf('cancelled'),
      bytesDone: numberOf('bytes'),
      bytesReceived: numberOf('received'),
      bytesSent: numberOf('sent'),
    },
  );
}

type Counted = Record<'succeeded' | 'failed' | 'cancelled' | 'bytes' | 'received' | 'sent', number | string>;

/**
 * What an item must do that a worker is about to take, because its tree was held or ended while the item was just being
 * finished, and then was not; null: go on.
 */
export async function heldBack(em: EntityManager, { treeId }: Transfer, now: Date): Promise<ItemChanges | null> {
  if (treeId == null) return null;
  const tree = await em.findOne(Transfer, { id: treeId }, { fields: ['state'], disableIdentityMap: true });
  if (tree?.state === 'PAUSED') return { state: 'PAUSED' };
  return tree && !isFinal(tree.state) ? null : ended(now, 'CANCELLED');
}

type ItemChanges = Parameters<typeof follow>[2];

const allowed = (action: TransferAction): TransferState[] => [...statesBefore(action)];

const resumed = (now: Date) => ({ runAfter: now, ...UNTRIED, expiresAt: null });

const NOT_COMMITTING = { $or: [{ phase: null }, { phase: { $ne: COMMIT_PHASE } }] };

const ended = (now: Date, state: 'CANCELLED' | 'FAILED') => ({ state, phase: null, finishedAt: now, expiresAt: null });

/** Whoever is at work on one of them is out: its fence is another. */
async function follow(
  em: EntityManager,
  which: Parameters<typeof em.nativeUpdate<Transfer>>[1],
  changes: Partial<Omit<Transfer, 'phase'>> & { readonly state: TransferState; readonly phase?: unknown },
): Promise<void> {
  await em.nativeUpdate(Transfer, which, {
    leaseOwner: null,
    leaseUntil: null,
    ...(changes as Partial<Transfer>),
    revision: raw('revision + 1'),
    fence: raw('fence + 1'),
  });
}
