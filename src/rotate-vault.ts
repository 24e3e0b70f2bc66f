import { loadConfig } from './config.ts';
import { ConfigError } from './lib/errors.ts';
import { createLog } from './lib/log.ts';
import { openStorage } from './storage/orm.ts';
import { Cipher } from './vault/cipher.ts';
import { loadKeyRing } from './vault/keyring.ts';
import { Vault } from './vault/vault.ts';

/**
 * Seals everything in the database with the first key of VAULT_KEYS, also beside a running server. Says on standard
 * output what it did; ends with 1 when it could not, or when values are left that no key opens.
 */
export async function rotateVault(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  try {
    const config = loadConfig(environment);
    const ring = loadKeyRing({ ...config, name: 'VAULT_KEYS', configured: config.vaultKeys });
    const storage = await openStorage({ url: config.databaseUrl, log: createLog({ level: 'silent' }) });
    try {
      const { rotated, unreadable } = await new Vault(new Cipher(ring)).rotate(storage);
      process.stdout.write(`${rotated} sealed values were brought to the key “${ring.current.id}”.\n`);
      if (unreadable > 0) process.exitCode = 1;
      else if (ring.keys.length > 1) process.stdout.write(`The other keys can be taken out of VAULT_KEYS now.\n`);
      process.stderr.write(unreadable > 0 ? unreadableHint(unreadable) : '');
    } finally {
      await storage.close();
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

const unreadableHint = (count: number): string =>
  `${count} cannot be opened. Add the key that they were sealed with to VAULT_KEYS, behind the current one, and run this again; if it is lost, their accounts must be linked again.\n`;
