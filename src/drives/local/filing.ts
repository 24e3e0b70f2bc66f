import { rm } from 'node:fs/promises';
import type { EntityManager } from '../../storage/orm.ts';
import type { SpooledFile, UploadPlan } from '../contract/upload.ts';
import type { CallContext, DriveEntry, Driver, Hashes } from '../driver.ts';
import { checkEntryName } from '../shared/names.ts';
import { change, type Note } from './change.ts';
import type { LocalContext } from './context.ts';
import { localError, notFound, PROVIDER } from './errors.ts';
import { findSpot, insertEntry, type NewFile } from './placing.ts';
import { type EntryRow, liveEntries, liveEntry, liveFolder, query, run, withPaths } from './rows.ts';

/** Makes files of bytes that are on this machine already. */
export const createFiling = (local: LocalContext) =>
  ({
    adopt: (plan, file, call) => fileBytes(local, plan, file, call),
    instantUpload: (plan, call) => instantUpload(local, plan, call),
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
  const done = await findAttempt(local, plan);
  const entry =
    done ??
    (await local.blobs.keep(whole, call.signal, (settled) =>
      change(local, call, (em, note) =>
        putFile(em, local, note, plan, { sha256, takeBytes: () => local.blobs.adopt(em, settled) }),
      ),
    ));
  await rm(file.path, { force: true });
  return entry;
}

/** Makes a file of bytes that this account has in another; null when it has not. */
export async function instantUpload(
  local: LocalContext,
  plan: UploadPlan,
  call: CallContext,
): Promise<DriveEntry | null> {
  checkPlan(plan);
  const done = await findAttempt(local, plan);
  if (done) return done;
  const sha256 = plan.hashes.SHA256?.toLowerCase();
  if (sha256 === undefined || !(await holds(local, sha256, plan.sizeBytes))) return null;
  return change(local, call, async (em, note) => {
    // Asked again within the change: the last file with these bytes may just have gone.
    if (!(await holds(local, sha256, plan.sizeBytes, em))) return null;
    return putFile(em, local, note, plan, { sha256, takeBytes: () => local.blobs.count(em, new Map([[sha256, 1]])) });
  });
}

/** Before any byte is sent: what stays when the policy is SKIP; throws when the name is taken and the policy is FAIL. */
export async function existingSpot(
  local: LocalContext,
  plan: UploadPlan,
  { signal }: CallContext,
): Promise<DriveEntry | null> {
  const em = local.storage.fork(signal);
  const folder = await liveFolder(em, local, plan.parentRef);
  const { name, onConflict } = plan;
  if (onConflict === 'RENAME') return null;
  const spot = await findSpot(em, { folder, name, kind: 'FILE', onConflict });
  return 'stays' in spot ? entryOf(em, local, spot.stays.id) : null;
}

/** What an earlier try of the same transfer made; null when none did, or when it has been deleted since. */
export async function findAttempt(local: LocalContext, { transferId }: UploadPlan): Promise<DriveEntry | null> {
  if (transferId === undefined) return null;
  const em = local.storage.fork();
  const [entry] = await withPaths(em, await liveEntries(em, local.accountId, [transferId]));
  return entry ?? null;
}

/** Refuses a plan that no file can come of. */
export function checkPlan(plan: UploadPlan): void {
  checkEntryName(plan.name, PROVIDER);
  if (!Number.isSafeInteger(plan.sizeBytes) || plan.sizeBytes < 0)
    throw localError('invalid_argument', 'The size must be a whole number of bytes.');
}

/** Compares what the bytes are with what was promised. */
function checkAgainstPlan(plan: UploadPlan, file: { readonly sizeBytes: number; readonly hashes: Hashes }): void {
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
  /** Counts the new reference, in the change. */
  readonly takeBytes: () => Promise<void>;
}

async function putFile(
  em: EntityManager,
  local: LocalContext,
  note: Note,
  plan: UploadPlan,
  { sha256, takeBytes }: Bytes,
): Promise<DriveEntry> {
  const { name, onConflict, sizeBytes, mimeType = null } = plan;
  const folder = await liveFolder(em, local, plan.parentRef);
  const spot = await findSpot(em, { folder, name, kind: 'FILE', onConflict });
  if ('stays' in spot) return entryOf(em, local, spot.stays.id);

  await takeBytes();
  const file = { sizeBytes, sha256, mimeType };
  if ('replaced' in spot) await replaceBytes(em, local, spot.replaced, file);
  const id =
    'replaced' in spot
      ? spot.replaced.id
      : await insertEntry(em, local, { folderId: folder.id, name: spot.free, file, ...(await idOf(em, plan)) });
  const entry = await entryOf(em, local, id);
  const kind = 'replaced' in spot ? 'MODIFIED' : 'CREATED';
  await note({ kind, entry: { id, kind: 'FILE' }, parentId: folder.id, path: entry.path });
  return entry;
}

/** The transfer's id becomes the entry's, so that a second try finds what the first made. */
async function idOf(em: EntityManager, { transferId }: UploadPlan): Promise<{ readonly id?: string }> {
  if (transferId === undefined) return {};
  const taken = await query(em, 'select id from local_entries where id = ?', [transferId]);
  return taken.length > 0 ? {} : { id: transferId };
}

/** Gives a file other bytes, whose reference the caller counts: it stays the same entry, with a higher revision. */
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
