import { resolve } from 'node:path';
import { loadConfig } from './config.ts';
import { ConfigError } from './lib/errors.ts';
import { backUp } from './storage/backup.ts';

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
    const { dataDir, databaseUrl, jwtKeys, vaultKeys } = loadConfig(environment);
    const url = databaseUrl.reveal();
    if (!url.startsWith('sqlite:')) {
      throw new ConfigError(
        'The database is PostgreSQL: back it up by pg_dump, then copy `blobs` and `spool` of DATA_DIR, in this order.',
      );
    }
    const target = resolve(folder);
    const report = await backUp({ dataDir, databasePath: url.replace(/^sqlite:(\/\/(?=\/))?/, ''), target });
    process.stdout.write(
      `The backup is in ${target}: a database of ${report.databaseBytes} bytes, ${report.blobsCopied} files copied, ` +
        `${report.blobsKept} there already, ${report.spooled} transfers under way.\n` +
        `To restore it, start PanQL on a copy of it: DATA_DIR=<copy> npm start\n` +
        (jwtKeys || vaultKeys ? 'Keep VAULT_KEYS and JWT_KEYS as well: they are settings, and not in it.\n' : ''),
    );
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
