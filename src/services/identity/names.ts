import { domainToASCII } from 'node:url';
import { mixesScripts } from '../../lib/look-alikes.ts';
import { emailKey, usernameKey } from '../../lib/names.ts';

export const USERNAME_LENGTH_MIN = 3;
export const USERNAME_LENGTH_MAX = 32;
export const DISPLAY_NAME_LENGTH_MAX = 64;
/** Longest address that SMTP carries. Source: RFC 5321, 4.5.3.1, with erratum 1690. */
const EMAIL_LENGTH_MAX = 254;
const EMAIL_LOCAL_LENGTH_MAX = 64;

const USERNAME = /^[\p{L}\p{M}\p{N}._-]+$/u;
/** Marks upon marks draw over the lines around them. */
const STACKED_MARKS = /\p{M}{4,}/u;
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;
/** Joins emoji and shapes letters of some scripts: allowed in a display name, which identifies nobody. */
const JOINERS = /\u200c|\u200d|\ufe0e|\ufe0f/gu;

/** Names far beyond every limit are cut before they are worked on: normalising a megabyte takes a while. */
const NAME_CUT = 512;
/** A username as it is kept: compatibility forms resolved, as `ｂｏｂ` is written `bob`. */
export const cleanUsername = (username: string): string => username.slice(0, NAME_CUT).normalize('NFKC');

/** What a person typed to say who they are, as users are found by it. Nobody has a NUL, and PostgreSQL takes none. */
export function loginKey(login: string): { readonly usernameKey: string } | { readonly emailKey: string } {
  const typed = login.slice(0, NAME_CUT).trim().replaceAll('\0', ' ');
  return typed.includes('@') ? { emailKey: emailKey(typed) } : { usernameKey: usernameKey(typed) };
}

/** Why a cleaned username is not taken, in words for a person; null when it is. */
export function usernameFault(username: string): string | null {
  const length = [...username].length;
  if (length < USERNAME_LENGTH_MIN || length > USERNAME_LENGTH_MAX) {
    return `must have ${USERNAME_LENGTH_MIN} to ${USERNAME_LENGTH_MAX} characters`;
  }
  if (!username.isWellFormed() || !USERNAME.test(username)) return 'may hold letters, digits, dots, hyphens and _ only';
  if (INVISIBLE.test(username)) return 'must not contain invisible characters';
  if (!/[\p{L}\p{N}]/u.test(username)) return 'needs a letter or a digit';
  if (/^\p{M}/u.test(username) || STACKED_MARKS.test(username)) return 'must not pile up accents';
  if (mixesScripts(username)) return 'must not mix letters of different alphabets';
  return null;
}

/** Why a display name is not taken; null when it is. */
export function displayNameFault(displayName: string): string | null {
  const length = [...displayName].length;
  const drawn = displayName.replace(JOINERS, '');
  if (drawn.trim() === '' || length > DISPLAY_NAME_LENGTH_MAX) {
    return `must have 1 to ${DISPLAY_NAME_LENGTH_MAX} characters`;
  }
  if (!displayName.isWellFormed() || INVISIBLE.test(drawn)) {
    return 'must not contain invisible or control characters';
  }
  if (STACKED_MARKS.test(drawn)) return 'must not pile up accents';
  return null;
}

/** Why a mail address is not taken; null when it is. Whether mail arrives there only mail can tell. */
export function emailFault(email: string): string | null {
  const fault = 'must be a mail address, as in ada@example.org';
  const at = email.lastIndexOf('@');
  const local = email.slice(0, at);
  const domain = email.slice(at + 1);
  if (at < 1 || domain === '' || email.length > EMAIL_LENGTH_MAX || local.length > EMAIL_LOCAL_LENGTH_MAX) return fault;
  if (!email.isWellFormed() || INVISIBLE.test(email)) return fault;
  if (!/^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u.test(local)) return fault;
  if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(domainToASCII(domain))) return fault;
  if (mixesScripts(local)) return 'must not mix letters of different alphabets';
  return null;
}
