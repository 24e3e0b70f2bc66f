import { resolve } from 'node:path';
import { type BlobStoreConfig, loadConfig } from './config.ts';
import { ConfigError } from './lib/errors.ts';
import { backUp } from './storage/backup.ts';

/** What is deleted stays in the bucket for an hour: for so long it has all that the database of now names. */
const bucketAdvice = ({ address: { bucket, prefix } }: BlobStoreConfig): string =>
  `Within the hour after the database, copy the bucket, as by: aws s3 sync s3://${bucket}/${prefix} <folder>`;

/**
 * Copies the data of the embedded server into a folder, also beside a running server. Says on standard output what it
 * did, and what belongs to the backup besides; ends with 1 when it could not.
 */
export async function backUpTo(
  folder: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  try {
    if (!folder) throw new ConfigError('Name the folder of the backup: npm run backup -- /path/to/backup');
    const { dataDir, databaseUrl, blobStore, jwtKeys, vaultKeys } = loadConfig(environment);
    const url = databaseUrl.reveal();
    if (!url.startsWith('sqlite:')) {
      throw new ConfigError(
        blobStore
          ? `The database is PostgreSQL: back it up by pg_dump. Then copy \`spool\` and \`spool.id\` of each host's DATA_DIR. ${bucketAdvice(blobStore)}`
          : 'The database is PostgreSQL: back it up by pg_dump, then copy `blobs`, `spool` and `spool.id` of DATA_DIR, in this order.',
      );
    }
    const target = resolve(folder);
    const databasePath = url.replace(/^sqlite:(\/\/(?=\/))?/, '');
    const report = await backUp({ dataDir, databasePath, target, withBlobs: blobStore === null });
    process.stdout.write(
      `The backup is in ${target}: a database of ${report.databaseBytes} bytes, ${report.blobsCopied} files copied, ` +
        `${report.blobsKept} there already, ${report.spooled} transfers under way.\n` +
        (blobStore ? `It has no files of the built-in drives. ${bucketAdvice(blobStore)}\n` : '') +
        `To restore it, start PanQL on a copy of it: DATA_DIR=<copy> npm start\n` +
        (jwtKeys || vaultKeys ? 'Keep VAULT_KEYS and JWT_KEYS as well: they are settings, and not in it.\n' : ''),
    );
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
