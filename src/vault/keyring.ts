import { randomBytes } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../lib/errors.ts';
import { newToken } from '../lib/ids.ts';
import { Secret } from '../lib/secret.ts';

/** Bytes of a key that is made here, and the fewest that are taken: the key size of AES-256 and of HMAC-SHA-256. */
export const KEY_BYTES = 32;
/** 32 random bytes hold about 30 different values, and fewer than 16 once in 10^16 keys. */
const DISTINCT_BYTES_MIN = 16;
const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

export interface Key {
  /** Stands beside what was made with the key, so that it is found again after a rotation. */
  readonly id: string;
  readonly key: Secret<Buffer>;
}

/** Keys by id. One makes new values, the others still read old ones. */
export interface KeyRing {
  readonly current: Key;
  readonly keys: readonly Key[];
  get(id: string): Key | null;
}

export interface KeyRingSource {
  /** The setting, as in `JWT_KEYS`. */
  readonly name: string;
  /** `id:base64,…`, the first one current; null: not set. */
  readonly configured: Secret | null;
  readonly dataDir: string;
  readonly environment: 'development' | 'production' | 'test';
}

/**
 * The keys of a setting. Outside production a missing one is made once and kept in `DATA_DIR/keys` (mode 0600).
 * @throws ConfigError when the setting is missing in production, or a key in it is malformed, short or guessable.
 */
export function loadKeyRing(source: KeyRingSource): KeyRing {
  if (source.configured) return parseKeyRing(source.name, source.configured.reveal());
  if (source.environment === 'production') {
    throw new ConfigError(`${source.name} is not set. ${howToMake(source.name)}`);
  }
  return parseKeyRing(source.name, keptKeys(join(source.dataDir, 'keys'), source.name.toLowerCase()));
}

/**
 * Several at once, in their order.
 * @throws ConfigError with the faults of all of them.
 */
export function loadKeyRings<Sources extends readonly KeyRingSource[]>(
  ...sources: Sources
): { [At in keyof Sources]: KeyRing } {
  const faults: string[] = [];
  const rings = sources.map((source) => {
    try {
      return loadKeyRing(source);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      faults.push(error.message);
      return null;
    }
  });
  if (faults.length > 0) throw new ConfigError(faults.join('\n'));
  return rings as { [At in keyof Sources]: KeyRing };
}

function parseKeyRing(name: string, text: string): KeyRing {
  const faults: string[] = [];
  const keys = new Map<string, Key>();
  for (const [index, item] of text.split(',').entries()) {
    const [id = '', encoded = ''] = item.trim().split(/:(.*)/s);
    const bytes = Buffer.from(encoded, 'base64');
    const fault = keys.has(id) ? 'has an id that stands there twice' : keyFault(id, encoded, bytes);
    if (fault) faults.push(`${name}: key ${index + 1} ${fault}`);
    else keys.set(id, { id, key: new Secret(bytes) });
  }
  const [current] = keys.values();
  if (!current || faults.length > 0) throw new ConfigError(`${faults.join('\n')}\n${howToMake(name)}`);
  return { current, keys: [...keys.values()], get: (id) => keys.get(id) ?? null };
}

function keyFault(id: string, encoded: string, bytes: Buffer): string | null {
  if (!KEY_ID.test(id)) return 'must be written id:base64, the id of letters, digits, - and _';
  if (!BASE64.test(encoded)) return 'is not base64';
  if (bytes.length < KEY_BYTES) return `is ${bytes.length} bytes long: at least ${KEY_BYTES} are needed`;
  // A typed phrase or a sample, base64 or not. Of random keys one in 10^14 looks like this.
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return 'is readable text, not random bytes';
  if (new Set(bytes).size < DISTINCT_BYTES_MIN) return 'repeats few bytes: it is a sample, not a random key';
  const step = (bytes[1] ?? 0) - (bytes[0] ?? 0);
  if (bytes.every((byte, at) => at === 0 || (byte - (bytes[at - 1] ?? 0) - step) % 256 === 0)) {
    return 'counts up or down: it is a sample, not a random key';
  }
  return null;
}

const howToMake = (name: string): string => `Make a key: echo "${name}=k1:$(openssl rand -base64 ${KEY_BYTES})"`;

/** The text of a key file, made when there is none. */
function keptKeys(folder: string, name: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, name);
  try {
    return read(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  // Written under another name, then linked: a second process that starts now reads a whole file, and the same one.
  const fresh = `${file}.${newToken(8)}`;
  writeFileSync(fresh, `dev:${randomBytes(KEY_BYTES).toString('base64')}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // The other process was first: its key counts.
  } finally {
    rmSync(fresh);
  }
  return read(file);
}

function read(file: string): string {
  const text = readFileSync(file, 'utf8').trim();
  chmodSync(file, 0o600); // A copied data folder may have lost it.
  return text;
}
