import { Buffer } from 'node:buffer';
import { domainToASCII } from 'node:url';
import { foldLookAlikes } from './look-alikes.ts';

/** Longest entry name, in UTF-8 bytes: what ext4, NTFS and the cloud drives all accept. */
export const NAME_BYTES_MAX = 255;
/** Longest path, in UTF-8 bytes. */
export const PATH_BYTES_MAX = 4096;

const CONTROL_CHARACTERS = /\p{Cc}/u;
/** Marks that reorder or hide text, with which one name can be shown as another. */
const DECEPTIVE_CHARACTERS = /[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/u;
/** Characters that are drawn as a separator or a dot but are not one: refused in the names `.` and `..` only. */
const DOT_LOOKALIKES = /^[.\u2024\u2025\uff0e\u3002]{1,2}$/u;

/** Why `name` cannot name an entry, in words for a person; null when it can. */
export function entryNameFault(name: string): string | null {
  if (name === '') return 'must not be empty';
  if (name === '.' || name === '..' || DOT_LOOKALIKES.test(name)) return 'must not be a relative path';
  if (name.includes('/') || name.includes('\\')) return 'must not contain / or \\';
  if (CONTROL_CHARACTERS.test(name)) return 'must not contain control characters';
  if (DECEPTIVE_CHARACTERS.test(name)) return 'must not contain invisible or direction-changing characters';
  if (!name.isWellFormed()) return 'must be well-formed Unicode';
  if (name !== name.trim()) return 'must not begin or end with a space';
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) return `must be at most ${NAME_BYTES_MAX} bytes in UTF-8`;
  return null;
}

/** The segments of an absolute path below a drive's root (`/` is none), or why it is not one. */
export function parsePath(path: string): { readonly segments: readonly string[] } | { readonly fault: string } {
  if (!path.startsWith('/')) return { fault: 'must begin with /' };
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) return { fault: `must be at most ${PATH_BYTES_MAX} bytes in UTF-8` };
  const segments = path.split('/').filter((segment) => segment !== '');
  for (const segment of segments) {
    const fault = entryNameFault(segment);
    if (fault) return { fault: `has a segment that ${fault}` };
  }
  return { segments };
}

/** What two names of one folder are compared by: the bytes stay as given, but `É` and `É`, or `A` and `a`, are one name. */
export const entryNameKey = (name: string): string => name.normalize('NFC').toLowerCase().normalize('NFC');

/** What usernames are compared by: compatibility forms, case and shapes folded, so that look-alikes cannot register twice. */
export const usernameKey = (username: string): string =>
  foldLookAlikes(username.normalize('NFKC').toLowerCase().normalize('NFKC'));

/** What mail addresses are compared by: as a username, with the domain in its ASCII form. */
export function emailKey(email: string): string {
  const at = email.lastIndexOf('@');
  const domain = email.slice(at + 1);
  return `${usernameKey(email.slice(0, at))}@${domainToASCII(domain) || usernameKey(domain)}`;
}

const UNSEEN_CHARACTERS = new RegExp(`${CONTROL_CHARACTERS.source}|${DECEPTIVE_CHARACTERS.source}`, 'gu');
/** Characters that some drive or file system refuses in names, beside the separators. */
const UNWELCOME_CHARACTERS = /[<>:"|?*]/g;

/**
 * A name for an entry made of what another server calls its file: without folders, and without what no name may have;
 * null when nothing is left of it. What a person chose is never mended, but refused by {@link entryNameFault}.
 */
export function mendedName(text: string): string | null {
  const base = text.slice(Math.max(text.lastIndexOf('/'), text.lastIndexOf('\\')) + 1);
  const plain = base.toWellFormed().replace(UNSEEN_CHARACTERS, '').replace(UNWELCOME_CHARACTERS, '_').trim();
  const name = shortened(plain, '').trim();
  return entryNameFault(name) === null ? name : null;
}

/** The last part of an address's path, decoded: for {@link mendedName}. Undefined: it has none. */
export function nameInUrl(url: string): string | undefined {
  const parts = URL.parse(url)?.pathname.split('/') ?? [];
  const last = parts.findLast((part) => part !== '');
  try {
    return last === undefined ? undefined : decodeURIComponent(last);
  } catch {
    return last; // Its letters are not encoded in UTF-8.
  }
}

/** `name` with a number before its extension, as file managers number copies: `a.txt` → `a (2).txt`. */
export function numberedName(name: string, number: number): string {
  return shortened(name, ` (${number})`);
}

/** Longer, what stands behind the last dot is no extension, in UTF-16 units. */
const EXTENSION_LENGTH_MAX = 32;

/** `name` with `mark` before its extension, cut in front of that where it would be too long. */
function shortened(name: string, mark: string): string {
  const dot = name.lastIndexOf('.');
  const hasExtension = dot > 0 && name.length - dot <= EXTENSION_LENGTH_MAX;
  const suffix = mark + (hasExtension ? name.slice(dot) : '');
  let kept = [...(hasExtension ? name.slice(0, dot) : name)].slice(0, NAME_BYTES_MAX);
  while (Buffer.byteLength(kept.join('') + suffix) > NAME_BYTES_MAX) kept = kept.slice(0, -1);
  return kept.join('') + suffix;
}
