import { DeadlockException } from '@mikro-orm/core';
import type { EntityManager, Storage } from '../../storage/orm.ts';
import type { CallContext } from '../driver.ts';
import type { EntryChanged, LocalContext } from './context.ts';
import { notFound } from './errors.ts';
import { query, run } from './rows.ts';

/** What is written into the journal, and told after the commit. */
export interface ChangeNote {
  readonly kind: EntryChanged['kind'];
  readonly entry: { readonly id: string; readonly kind: EntryChanged['entryKind'] };
  /** The folder in which it is seen now, or was seen last. */
  readonly parentId: string | null;
  /** Of a move: the folder that it left. */
  readonly leftId?: string | null;
  readonly path: string | null;
}

export type Note = (note: ChangeNote) => Promise<void>;

/**
 * Runs one change of the drive in one transaction, which holds the drive's lock: changes of one drive come one after
 * the other, so that a folder cannot be moved into what is being moved into it, and the journal's sequence is the order
 * of the commits. What `work` notes is in the journal if and only if the change is; it is announced after the commit.
 */
export async function change<Result>(
  local: LocalContext,
  call: CallContext,
  work: (em: EntityManager, note: Note) => Promise<Result>,
): Promise<Result> {
  call.signal.throwIfAborted();
  const { result, events } = await transact(local.storage, async (em) => {
    const events: EntryChanged[] = [];
    await lockDrive(em, local);
    return { result: await work(em, (note) => write(em, local, note, events)), events };
  });
  for (const event of events) local.announce(event);
  return result;
}

/** Tries of a transaction that the database chose as the victim of a deadlock. */
const DEADLOCK_TRIES = 3;

/** One transaction, tried again after a deadlock: PostgreSQL rows of shared blobs are locked in no common order. */
export async function transact<Result>(
  storage: Storage,
  work: (em: EntityManager) => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await storage.transaction(work);
    } catch (error) {
      if (!(error instanceof DeadlockException) || attempt === DEADLOCK_TRIES) throw error;
    }
  }
}

/** The root's row stands for the drive. SQLite has one writer at a time anyway. */
async function lockDrive(em: EntityManager, { accountId, storage }: LocalContext): Promise<void> {
  const lock = storage.dialect === 'postgres' ? 'for update' : '';
  const rows = await query(em, `select id from local_entries where id = ? ${lock}`, [accountId]);
  if (rows.length === 0) throw notFound('drive');
}

async function write(em: EntityManager, local: LocalContext, note: ChangeNote, events: EntryChanged[]): Promise<void> {
  const { accountId, clock } = local;
  const { kind, entry, parentId, leftId = null, path } = note;
  const at = clock.now();
  await run(
    em,
    'insert into local_changes (account_id, kind, entry_id, entry_kind, parent_id, path, at) values (?, ?, ?, ?, ?, ?, ?)',
    [accountId, kind, entry.id, entry.kind, parentId, path, at],
  );
  const folderRefs = [...new Set([parentId, leftId])].filter((id) => id !== null);
  events.push({
    accountId,
    folderRefs,
    kind,
    entryRef: entry.id,
    entryKind: entry.kind,
    path,
    at: at.toISOString(),
  });
}
