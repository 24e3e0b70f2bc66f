import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { MikroORM } from '@mikro-orm/sqlite';
import { ConfigError } from '../lib/errors.ts';
import { makeFolder } from '../lib/folders.ts';
import { type BlobName, keyOf, nameOf } from './blobs/name.ts';
import { databaseFault } from './fault.ts';

/** What the database is called in a data folder, and so in a backup of one. */
export const DATABASE_FILE = 'panql.sqlite';
/** A name that is not there, while its file is not whole. */
const UNFINISHED = '.unfinished';

export interface BackupPlan {
  readonly dataDir: string;
  /** Of SQLite. */
  readonly databasePath: string;
  /** Made where it is missing. One that holds a backup is brought up to date: what it has already is not copied again. */
  readonly target: string;
  /** False: the bytes of files lie elsewhere than in `dataDir`, and are not copied. */
  readonly withBlobs: boolean;
}

export interface BackupReport {
  readonly databaseBytes: number;
  /** Files of the built-in drives that were copied, and that were there from the last time. */
  readonly blobsCopied: number;
  readonly blobsKept: number;
  /** Transfers whose bytes are all here and not yet in a drive. */
  readonly spooled: number;
}

/**
 * Copies the embedded server's data into a folder that can be its DATA_DIR, also beside a running server: the database as
 * it is at one moment, and every file that it names at that moment. The order is what makes it whole:
 * - files first, so that few are left to be copied after the moment: what the database forgot since is kept an hour;
 * - the database under its name last: killed at any time, the target holds this backup or the one before;
 * - then what only the one before needed goes.
 * @throws ConfigError in words for an operator.
 */
export async function backUp({ dataDir, databasePath, target, withBlobs }: BackupPlan): Promise<BackupReport> {
  await checkTarget(target, dataDir);
  makeFolder(target);
  const blobs = { from: join(dataDir, 'blobs'), to: join(target, 'blobs') };
  const before = await copyBlobs(blobs, withBlobs ? await blobNames(blobs.from) : [], 'vanishing');

  const snapshot = join(target, DATABASE_FILE + UNFINISHED);
  await rm(snapshot, { force: true });
  const named = await takeSnapshot(databasePath, snapshot);
  const needed = new Set(withBlobs ? named.blobs : []);
  const after = await copyBlobs(blobs, needed, 'whole');
  const spooled = await copySpool(dataDir, target, named.transfers);
  await copyKeys(dataDir, target);

  // Left by a server that ran on the target, they would be taken for a part of the new database.
  for (const suffix of ['-wal', '-shm']) await rm(join(target, DATABASE_FILE + suffix), { force: true });
  await rename(snapshot, join(target, DATABASE_FILE));
  await syncFolder(target);
  for (const name of await blobNames(blobs.to)) if (!needed.has(name)) await unlink(join(blobs.to, name));
  const blobsCopied = before.copied + after.copied;
  const { size: databaseBytes } = await stat(join(target, DATABASE_FILE));
  return { databaseBytes, blobsCopied, blobsKept: Math.max(0, needed.size - blobsCopied), spooled };
}

/** A folder with anything else in it is not ours to change. */
async function checkTarget(target: string, dataDir: string): Promise<void> {
  if (`${target}/`.startsWith(`${dataDir}/`) || `${dataDir}/`.startsWith(`${target}/`)) {
    throw new ConfigError(`The backup cannot be within the data folder ${dataDir}, nor that within it. Name another.`);
  }
  const names = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new ConfigError(`The folder ${target} cannot be read (${error.code}). Name another.`);
  });
  const isBackup = names.some((name) => name.startsWith(DATABASE_FILE)) || names.every((name) => name === 'blobs');
  if (!isBackup) throw new ConfigError(`The folder ${target} holds something else than a backup. Name another.`);
}

/** What the database named at the moment of its copy. */
interface Named {
  /** Where they are in their folder. */
  readonly blobs: readonly string[];
  readonly transfers: readonly string[];
}

async function takeSnapshot(databasePath: string, snapshot: string): Promise<Named> {
  await execute(databasePath, ['vacuum into ?', [snapshot]]);
  await chmod(snapshot, 0o600);
  const handle = await open(snapshot, 'r+');
  await handle.sync();
  await handle.close();
  const [checked] = await execute<{ quick_check: string }>(snapshot, ['pragma quick_check', []]);
  if (checked?.quick_check !== 'ok') {
    throw new ConfigError(
      `The database ${databasePath} is damaged (${checked?.quick_check}). Keep the backup of before.`,
    );
  }
  // All columns: a database that is backed up before its migration has fewer.
  const blobs = await execute<Partial<BlobName>>(snapshot, ['select * from blobs where reference_count > 0', []]);
  const transfers = await execute<{ id: string }>(snapshot, [
    `select id from transfers where state in ('QUEUED', 'RUNNING', 'PAUSED', 'FAILED') and phase <> 'RECEIVING'`,
    [],
  ]);
  return {
    blobs: blobs.map(({ sha256 = '', generation = null }) => keyOf({ sha256, generation })),
    transfers: transfers.map(({ id }) => id),
  };
}

/** On a connection of its own, which knows nothing of entities and migrates nothing. */
async function execute<Row>(path: string, [sql, parameters]: readonly [string, readonly unknown[]]): Promise<Row[]> {
  await stat(path).catch(() => {
    throw new ConfigError(`There is no database at ${path}. Set DATA_DIR to the folder that the server uses.`);
  });
  const orm = await MikroORM.init({ dbName: path, entities: [], discovery: { warnWhenNoEntities: false } });
  try {
    return await orm.em.getConnection().execute<Row[]>(sql, [...parameters], 'all');
  } catch (error) {
    throw databaseFault(error, path) ?? error;
  } finally {
    await orm.close(true);
  }
}

/** Where the blobs are in their folder. */
async function blobNames(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    },
  );
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(root, join(parentPath, name)).replaceAll(sep, '/'))
    .filter((path) => nameOf(path) !== null);
}

/** Copies what is not there yet: a file of that name has these bytes. Of `vanishing` ones those that are gone are left out. */
async function copyBlobs(
  { from, to }: { readonly from: string; readonly to: string },
  names: Iterable<string>,
  kind: 'vanishing' | 'whole',
): Promise<{ readonly copied: number }> {
  let copied = 0;
  for (const name of names) {
    const source = join(from, name);
    const size = await sizeOf(source);
    const there = await sizeOf(join(to, name));
    if (there !== null && (size === null || size === there)) continue;
    if (await copyWhole(source, join(to, name))) copied += 1;
    else if (kind === 'whole') throw new ConfigError(`The file ${source} is missing, though the database names it.`);
  }
  return { copied };
}

async function copySpool(dataDir: string, target: string, transfers: readonly string[]): Promise<number> {
  await rm(join(target, 'spool'), { recursive: true, force: true });
  let copied = 0;
  for (const id of transfers) {
    // One that is gone was kept by the drive meanwhile, or given up long ago.
    if (await copyWhole(join(dataDir, 'spool', `${id}.part`), join(target, 'spool', `${id}.part`))) copied += 1;
  }
  return copied;
}

/** Of development: in production they are settings, and not ours to copy. */
async function copyKeys(dataDir: string, target: string): Promise<void> {
  const names = await readdir(join(dataDir, 'keys')).catch(() => []);
  for (const name of names) await copyWhole(join(dataDir, 'keys', name), join(target, 'keys', name));
}

/**
 * Under its name only when it is whole and on the disk. Shares blocks where the file system can. False where the source is
 * gone: the server at work may take it away at any time.
 */
async function copyWhole(source: string, target: string): Promise<boolean> {
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  const unfinished = target + UNFINISHED;
  try {
    await copyFile(source, unfinished, constants.COPYFILE_FICLONE);
  } catch (error) {
    if (!isMissing(error)) throw error;
    return false;
  }
  const handle = await open(unfinished, 'r+');
  try {
    await handle.chmod(0o600);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, target);
  return true;
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // It cannot sync a folder, and orders this itself.
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
