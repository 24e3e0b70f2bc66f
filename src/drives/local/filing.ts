import { rm } from 'node:fs/promises';
import type { EntityManager } from '../../storage/orm.ts';
import type { CallContext, DriveEntry, Driver, Hashes, SpooledFile, UploadPlan } from '../driver.ts';
import { checkEntryName } from '../shared/names.ts';
import { change, type Note } from './change.ts';
import type { LocalContext } from './context.ts';
import { localError, notFound, PROVIDER } from './errors.ts';
import { findSpot, insertEntry, type NewFile } from './placing.ts';
import { type EntryRow, type Folder, liveEntry, liveFolder, query, run, withPaths } from './rows.ts';

/** Makes files of bytes that are on this machine already. */
export const createFiling = (local: LocalContext) =>
  ({
    adopt: (plan, file, call) => fileBytes(local, plan, file, call),

    async instantUpload(plan, call) {
      checkPlan(plan);
      const sha256 = plan.hashes.SHA256;
      if (sha256 === undefined || !(await holds(local, sha256, plan.sizeBytes))) return null;
      return change(local, call, async (em, note) => {
        // Asked again within the change: the last file with these bytes may just have gone for ever.
        if (!(await holds(local, sha256, plan.sizeBytes, em))) return null;
        return putFile(em, local, note, plan, {
          sha256,
          takeBytes: () => local.blobs.count(em, new Map([[sha256, 1]])),
        });
      });
    },
  }) satisfies Partial<Driver>;

/** Makes a file of whole bytes in a spool file, which is gone from its path afterwards. */
export async function fileBytes(
  local: LocalContext,
  plan: UploadPlan,
  file: SpooledFile,
  call: CallContext,
): Promise<DriveEntry> {
  checkPlan(plan);
  checkAgainstPlan(plan, file);
  const { SHA256: sha256, MD5: md5, SHA1: sha1, CRC32: crc32 } = file.hashes;
  const whole = { path: file.path, sizeBytes: file.sizeBytes, sha256, md5, sha1, crc32 };
  await local.blobs.settle(whole);
  const entry = await change(local, call, (em, note) =>
    putFile(em, local, note, plan, { sha256, takeBytes: () => local.blobs.adopt(em, whole) }),
  );
  await rm(file.path, { force: true });
  return entry;
}

/** Refuses a plan that no file can come of. */
export function checkPlan(plan: UploadPlan): void {
  checkEntryName(plan.name, PROVIDER);
  if (!Number.isSafeInteger(plan.sizeBytes) || plan.sizeBytes < 0)
    throw localError('invalid_argument', 'The size must be a whole number of bytes.');
}

/** Compares what the bytes are with what was promised. */
export function checkAgainstPlan(
  plan: UploadPlan,
  file: { readonly sizeBytes: number; readonly hashes: Hashes },
): void {
  if (file.sizeBytes !== plan.sizeBytes)
    throw localError('corrupted', `${file.sizeBytes} bytes arrived where ${plan.sizeBytes} were promised.`);
  for (const [algorithm, promised] of Object.entries(plan.hashes)) {
    const found = file.hashes[algorithm as keyof Hashes];
    if (found !== undefined && found !== promised.toLowerCase())
      throw localError('corrupted', `The ${algorithm} of the bytes is not the one that was promised.`);
  }
}

interface Bytes {
  readonly sha256: string;
  /** Counts the new reference, in the change. Last of all, so that nothing but the commit can fail after it. */
  readonly takeBytes: () => Promise<void>;
}

async function putFile(
  em: EntityManager,
  local: LocalContext,
  note: Note,
  plan: UploadPlan,
  bytes: Bytes,
): Promise<DriveEntry> {
  const folder = await liveFolder(em, local, plan.parentRef);
  const spot = await findSpot(em, { folder, name: plan.name, kind: 'FILE', onConflict: plan.onConflict });
  if ('stays' in spot) return entryOf(em, local, spot.stays.id);

  const file = { sizeBytes: plan.sizeBytes, sha256: bytes.sha256, mimeType: plan.mimeType ?? null };
  if ('replaced' in spot) {
    await replaceBytes(em, local, spot.replaced, file);
    return noted(em, local, note, 'MODIFIED', folder, spot.replaced.id, bytes);
  }
  const id = await insertEntry(em, local, { folderId: folder.id, name: spot.free, file });
  return noted(em, local, note, 'CREATED', folder, id, bytes);
}

async function noted(
  em: EntityManager,
  local: LocalContext,
  note: Note,
  kind: 'CREATED' | 'MODIFIED',
  folder: Folder,
  id: string,
  bytes: Bytes,
): Promise<DriveEntry> {
  await bytes.takeBytes();
  const entry = await entryOf(em, local, id);
  await note({ kind, entry: { id, kind: 'FILE' }, parentId: folder.id, path: entry.path });
  return entry;
}

/** Gives a file other bytes: it stays the same entry, with a higher revision. The new bytes' reference is counted elsewhere. */
export async function replaceBytes(
  em: EntityManager,
  local: LocalContext,
  entry: EntryRow,
  file: NewFile,
): Promise<void> {
  await run(
    em,
    `update local_entries set size_bytes = ?, blob_hash = ?, mime_type = coalesce(?, mime_type), modified_at = ?,
       revision = revision + 1 where id = ?`,
    [file.sizeBytes, file.sha256, file.mimeType, local.clock.now(), entry.id],
  );
  if (entry.blob_hash !== null) await local.blobs.count(em, new Map([[entry.blob_hash, -1]]));
}

/** The entry as it is within the change. */
export async function entryOf(em: EntityManager, local: LocalContext, id: string): Promise<DriveEntry> {
  const [entry] = await withPaths(em, [await liveEntry(em, local, id)]);
  if (!entry) throw notFound();
  return entry;
}

/** Whether this account has the bytes in a file that it can see: another's file must not be found by its hash. */
async function holds(
  { storage, accountId }: LocalContext,
  sha256: string,
  sizeBytes: number,
  em: EntityManager = storage.fork(),
): Promise<boolean> {
  if (!/^[0-9a-f]{64}$/.test(sha256)) return false;
  const rows = await query(
    em,
    `select id from local_entries where blob_hash = ? and account_id = ? and size_bytes = ? and hidden_by is null limit 1`,
    [sha256, accountId, sizeBytes],
  );
  return rows.length > 0;
}
