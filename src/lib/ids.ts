import { createHash, randomBytes } from 'node:crypto';
import { v7 } from 'uuid';

/** A new row id: UUID version 7, so that ids sort by time and index pages fill in order. */
export const newId = (): string => v7();

/** Whether a text can be the id of a row; ids that callers send are looked up only then, as PostgreSQL refuses NUL in a text. */
export const isRowId = (id: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);

/** A random token for a person or a URL, base64url. 32 bytes are 256 bits: not guessable, so a plain hash may guard it. */
export const newToken = (bytes = 32): string => randomBytes(bytes).toString('base64url');

/** SHA-256 of a random token, hex: what the database keeps in place of the token. Not for passwords, which people choose. */
export const hashToken = (token: string): string => createHash('sha256').update(token).digest('hex');
