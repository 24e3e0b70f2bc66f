import { raw } from '@mikro-orm/core';
import { addMs } from '../lib/clock.ts';
import { UnavailableError } from '../lib/errors.ts';
import { Transfer, type TransferKind, type TransferState } from '../storage/entities/transfer.ts';
import type { EntityManager } from '../storage/orm.ts';
import { storedFailureOf } from './failures.ts';
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
 * change that it follows.
 */

/** The phase of a tree whose items are at work. */
export const ITEMS_PHASE = 'SENDING';

/** An item ended, or is to be tried again: its tree counts. Gives the tree if that ended it. */
export async function noteItem(
  em: EntityManager,
  { treeId, bytesTotal }: Transfer,
  action: TransferAction,
  now: Date,
): Promise<Transfer | null> {
  if (treeId == null || (action !== 'succeed' && action !== 'fail')) return null;
  const counted =
    action === 'succeed'
      ? { itemsSucceeded: raw('items_succeeded + 1'), bytesDone: raw('bytes_done + ?', [bytesTotal ?? 0]) }
      : { itemsFailed: raw('items_failed + 1') };
  const expiresAt = addMs(now, STATE_DEADLINES_MS.RUNNING);
  // Its lock lets the ends of other items wait, so that one of them sees that it is the last.
  await em.nativeUpdate(Transfer, { id: treeId, state: { $nin: [...FINAL_STATES] } }, { ...counted, expiresAt });
  return settleTree(em, treeId, now);
}

/** Ends the tree if all its items have ended. Of a move that went well, the folders of the source are still to go. */
export async function settleTree(em: EntityManager, treeId: string, now: Date): Promise<Transfer | null> {
  const tree = await em.findOne(Transfer, { id: treeId }, { disableIdentityMap: true });
  if (tree?.state !== 'RUNNING' || tree.phase !== ITEMS_PHASE || tree.leaseUntil != null) return null;
  const failed = tree.itemsFailed ?? 0;
  if ((tree.itemsSucceeded ?? 0) + failed < (tree.itemsTotal ?? 0)) return null;
  const action = failed > 0 ? 'fail' : tree.kind === 'MOVE' ? 'requeue' : 'succeed';
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
  return em.findOneOrFail(Transfer, { id: treeId }, { disableIdentityMap: true });
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
      return follow(em, { ...open, state: { $in: allowed(action) } }, { state: 'PAUSED' });
    case 'resume':
      return follow(em, { treeId: tree.id, state: 'PAUSED' }, { state: 'QUEUED', runAfter: now, attempts: 0 });
    case 'cancel':
      return follow(em, { ...open, state: { $in: allowed(action) } }, ended(now, 'CANCELLED'));
    case 'fail': {
      const { failure } = tree;
      const expiresAt = addMs(now, RETRY_WINDOW_MS);
      await follow(em, { ...open, state: { $in: allowed(action) } }, { ...ended(now, 'FAILED'), failure, expiresAt });
      await em.nativeUpdate(Transfer, { id: tree.id }, { itemsFailed: raw('items_total - items_succeeded') });
      return;
    }
    case 'retry': {
      const phase = raw(`case when listing is null then 'RECEIVING' else 'LISTING' end`);
      const fresh = { phase, attempts: 0, failure: null, finishedAt: null, expiresAt: null, runAfter: now };
      await follow(em, { treeId: tree.id, state: 'FAILED' }, { state: 'QUEUED', ...fresh });
      await recount(em, tree.id);
    }
  }
}

/** Counts the items anew: what was just being finished when the tree ended was not counted. */
const recount = (em: EntityManager, treeId: string): Promise<unknown> =>
  em.execute(
    `update transfers set items_failed = 0,
       items_succeeded = (select count(*) from transfers item where item.tree_id = ? and item.state = 'SUCCEEDED'),
       bytes_done = (select coalesce(sum(item.bytes_total), 0) from transfers item
                     where item.tree_id = ? and item.state = 'SUCCEEDED')
     where id = ?`,
    [treeId, treeId, treeId],
  );

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
