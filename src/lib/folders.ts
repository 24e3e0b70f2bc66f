import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Makes a folder, and those above it that are missing, for this user alone. One by one: where a file system takes no
 * folders and calls each of them missing, as /proc does, Node 24's own `recursive` tries for ever.
 * Throws what the file system says.
 */
export function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(path).isDirectory()) throw error;
  }
}

/** Throws what the file system says, unless folders and files can be made in the folder. */
export function checkWritable(path: string): void {
  const probe = mkdtempSync(join(path, '.probe-'));
  try {
    writeFileSync(join(probe, 'file'), 'x', { flush: true });
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
