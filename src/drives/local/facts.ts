import { z } from 'zod';
import type { DriveChange, Driver, EntryKind, FileCategory } from '../driver.ts';
import { decodeCursor, pageOf } from '../shared/paging.ts';
import type { LocalContext } from './context.ts';
import { badCursor } from './errors.ts';
import { pageLimit } from './listing.ts';
import { liveEntries, query, type RowTime, timeOf, withPaths } from './rows.ts';

/** What the drive tells about itself. */
export const createFacts = (local: LocalContext) =>
  ({
    async profile() {
      return {
        providerUserId: local.accountId,
        name: null,
        membership: null,
        avatarUrl: null,
        membershipExpiresAt: null,
      };
    },

    /** Used is what the recycle bin holds too; the categories count what is live. The disk is everybody's, a store has no end. */
    async usage({ signal }) {
      const em = local.storage.fork(signal);
      const live = await query<{ category: FileCategory; count: string; bytes: string }>(
        em,
        `select category, count(*) as count, sum(size_bytes) as bytes from local_entries
         where account_id = ? and category is not null and hidden_by is null group by category`,
        [local.accountId],
      );
      const [hidden] = await query<{ bytes: string | null }>(
        em,
        `select sum(size_bytes) as bytes from local_entries
         where account_id = ? and category is not null and hidden_by is not null`,
        [local.accountId],
      );
      const usedBytes = live.reduce((sum, { bytes }) => sum + Number(bytes), Number(hidden?.bytes ?? 0));
      const freeBytes = await local.blobs.freeBytes();
      return {
        totalBytes: freeBytes === null ? null : usedBytes + freeBytes,
        usedBytes,
        freeBytes,
        byCategory: live.map(({ category, count, bytes }) => ({
          category,
          count: Number(count),
          bytes: Number(bytes),
        })),
      };
    },

    async changes(page, { signal }) {
      const em = local.storage.fork(signal);
      const limit = pageLimit(page);
      const after = page.cursor === null ? (['changes', 0] as const) : decodeCursor(page.cursor, CHANGES_CURSOR);
      if (!after) throw badCursor();
      const rows = await query<ChangeRow>(
        em,
        `select sequence, kind, entry_id, entry_kind, path, at from local_changes
         where account_id = ? and sequence > ? order by sequence limit ?`,
        [local.accountId, after[1], limit + 1],
      );
      const ids = [...new Set(rows.map(({ entry_id }) => entry_id))];
      const entries = await withPaths(em, await liveEntries(em, local.accountId, ids));
      const byRef = new Map(entries.map((entry) => [entry.ref, entry]));
      const toChange = (row: ChangeRow): DriveChange => {
        const entry = byRef.get(row.entry_id) ?? null;
        return {
          kind: row.kind,
          entryRef: row.entry_id,
          entryKind: row.entry_kind,
          entry,
          path: entry?.path ?? row.path,
          at: timeOf(row.at),
        };
      };
      return { ...pageOf(rows, limit, toChange, (row) => ['changes', Number(row.sequence)]), complete: true };
    },
  }) satisfies Partial<Driver>;

const CHANGES_CURSOR = z.tuple([z.literal('changes'), z.int().min(0)]);

interface ChangeRow {
  readonly sequence: number | string;
  readonly kind: DriveChange['kind'];
  readonly entry_id: string;
  readonly entry_kind: EntryKind;
  readonly path: string | null;
  readonly at: RowTime;
}
