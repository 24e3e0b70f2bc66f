import { ConfigError } from '../lib/errors.ts';

/** What to do about codes of PostgreSQL (by SQLSTATE), of the network, of the file system, and of SQLite. */
const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Nothing listens there. Start the database, or mend DATABASE_URL.',
  ENOTFOUND: 'There is no such host. Mend DATABASE_URL.',
  EAI_AGAIN: 'The name of its host cannot be looked up just now. Try again, or mend DATABASE_URL.',
  ETIMEDOUT: 'It does not answer. Look at the network between, or mend DATABASE_URL.',
  '28P01': 'It refuses the password. Mend DATABASE_URL.',
  '28000': 'It refuses this user. Mend DATABASE_URL.',
  '3D000': 'There is no such database there. Create it, or mend DATABASE_URL.',
  '42501': 'This user may not make tables there. Grant it the right to create in the schema.',
  ENOENT: 'There is no such folder, and none can be made there. Mend DATABASE_URL.',
  ENOTDIR: 'A file stands where its folder should be. Mend DATABASE_URL.',
  EISDIR: 'It is a folder. Name a file in DATABASE_URL.',
  EACCES: 'This user may not write there. Give it the right to, or mend DATABASE_URL.',
  EPERM: 'This user may not write there. Give it the right to, or mend DATABASE_URL.',
  EROFS: 'Nothing can be written there. Mend DATABASE_URL.',
  ENOSPC: 'The disk is full.',
  SQLITE_NOTADB: 'The file is no SQLite database. Move it away, or mend DATABASE_URL.',
  SQLITE_CORRUPT: 'The file is damaged. Restore it from a backup.',
  SQLITE_CANTOPEN: 'The file cannot be opened. Look at the rights of its folder, or mend DATABASE_URL.',
  SQLITE_READONLY: 'The file cannot be written. Give this user the right to it.',
  SQLITE_FULL: 'The disk is full.',
};

/** A database that cannot be opened, in words for its operator; null when the error is none of the known ones. */
export function databaseFault(error: unknown, url: string): ConfigError | null {
  const code = codeOf(error);
  const advice = code === null ? undefined : ADVICE[code];
  if (advice === undefined) return null;
  return new ConfigError(`The database ${placeOf(url)} cannot be opened (${code}). ${advice}`, { cause: error });
}

/** The first known code in an error, its causes and the errors that it gathers. */
function codeOf(error: unknown, depth = 0): string | null {
  if (!(error instanceof Error) || depth > 5) return null;
  const { code, errors = [], cause, previous } = error as Error & Record<string, unknown> & { errors?: unknown[] };
  if (typeof code === 'string' && code in ADVICE) return code;
  for (const inner of [...errors, cause, previous]) {
    const found = codeOf(inner, depth + 1);
    if (found !== null) return found;
  }
  return null;
}

/** Where it is, without the user and the password. */
function placeOf(url: string): string {
  if (!url.startsWith('postgres') || !URL.canParse(url)) return url.replace(/^sqlite:/, '');
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}
