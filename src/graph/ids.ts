import { Buffer } from 'node:buffer';
import type { EntryKind } from '../drives/driver.ts';

/** A decoded global id: the type's name and the row's own id. */
export interface GlobalId {
  readonly typename: string;
  readonly id: string;
}

export const encodeGlobalId = (typename: string, id: string | number | bigint): string =>
  Buffer.from(`${typename}:${id}`).toString('base64url');

/** Null when it is not an id of ours: treated as an id of nothing, so that a malformed id tells no more than an unknown one. */
export function decodeGlobalId(globalId: string): GlobalId | null {
  const text = Buffer.from(globalId, 'base64url').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1 || encodeGlobalId(text.slice(0, colon), text.slice(colon + 1)) !== globalId) return null;
  return { typename: text.slice(0, colon), id: text.slice(colon + 1) };
}

/** The row id in a global id of one of the given types, or null. */
export function decodeIdOf(globalId: string, ...typenames: readonly string[]): string | null {
  const decoded = decodeGlobalId(globalId);
  return decoded && typenames.includes(decoded.typename) ? decoded.id : null;
}

const ENTRY_TYPENAMES: Readonly<Record<EntryKind, string>> = { FILE: 'File', FOLDER: 'Folder' };

/** The part of an entry's global id after its type: the account and the drive's own ref, which may hold any character. */
export const encodeEntryKey = (accountId: string, ref: string): string => `${accountId}/${ref}`;

export function decodeEntryKey(key: string): { readonly accountId: string; readonly ref: string } | null {
  const slash = key.indexOf('/');
  return slash < 1 ? null : { accountId: key.slice(0, slash), ref: key.slice(slash + 1) };
}

export const encodeEntryId = (kind: EntryKind, accountId: string, ref: string): string =>
  encodeGlobalId(ENTRY_TYPENAMES[kind], encodeEntryKey(accountId, ref));

export function decodeEntryId(globalId: string): { readonly accountId: string; readonly ref: string } | null {
  const key = decodeIdOf(globalId, 'File', 'Folder');
  return key === null ? null : decodeEntryKey(key);
}
