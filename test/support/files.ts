import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DriveEntry } from '../../src/drives/driver.ts';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { newToken } from '../../src/lib/ids.ts';
import { uncancelled } from '../../src/services/entries.ts';
import type { TestApp } from './app.ts';
import type { Person } from './people.ts';

export interface PutFile {
  readonly entry: DriveEntry;
  /** Global id. */
  readonly id: string;
  /** For an argument of the input type EntryRef. */
  readonly file: { readonly id: string };
}

/** Puts a file into a person's built-in drive, past the upload protocol. One of that name gets the new bytes. */
export async function putFile(app: TestApp, person: Person, name: string, bytes: Uint8Array): Promise<PutFile> {
  const { driver, run } = await app.app.services.accounts.openForUser(person.userId, person.accountRowId);
  const path = join(app.dataDir, `spooled-${newToken(8)}`);
  await writeFile(path, bytes);
  const hashes = { SHA256: createHash('sha256').update(bytes).digest('hex') };
  const plan = { parentRef: driver.rootRef, name, sizeBytes: bytes.length, hashes, onConflict: 'REPLACE' } as const;
  const entry = await run('adopt', plan, { path, sizeBytes: bytes.length, hashes }, uncancelled());
  const id = encodeEntryId('FILE', person.accountRowId, entry.ref);
  return { entry, id, file: { id } };
}

/** Deletes a file for ever. */
export async function purgeFile(app: TestApp, person: Person, { entry }: PutFile): Promise<void> {
  const { run } = await app.app.services.accounts.openForUser(person.userId, person.accountRowId);
  await run('removePermanently', entry.ref, {}, uncancelled());
}
