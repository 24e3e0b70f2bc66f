import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Secret } from '../lib/secret.ts';
import type { Key, KeyRing } from './keyring.ts';

const VERSION = 'v1';
const ALGORITHM = 'aes-256-gcm';
/** What GCM is made for: 96 bits, fresh for each value. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const AES_KEY_BYTES = 32;

/** Which value of which row: a sealed value opens only where it was sealed. */
export interface SealPlace {
  /** The id of the row. */
  readonly row: string;
  /** The column, with its table. */
  readonly field: string;
}

/** A sealed value that cannot be opened: tampered with, of another row, or of a key that is not in the ring. */
export class SealBrokenError extends Error {
  override readonly name = 'SealBrokenError';
}

/** Seals secrets for the database: AES-256-GCM, bound to their place. `v1.<key id>.<nonce, bytes and tag in base64url>`. */
export class Cipher {
  readonly #ring: KeyRing;

  constructor(ring: KeyRing) {
    this.#ring = ring;
  }

  /** Sealed with the current key. */
  seal(plain: Secret, place: SealPlace): string {
    const { current } = this.#ring;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, aesKey(current), nonce).setAAD(bindingOf(current.id, place));
    const bytes = Buffer.concat([nonce, cipher.update(plain.reveal(), 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return [VERSION, current.id, bytes.toString('base64url')].join('.');
  }

  /** @throws SealBrokenError, which says why without a byte of the value. */
  open(sealed: string, place: SealPlace): Secret {
    const [version, keyId = '', encoded = '', ...rest] = sealed.split('.');
    if (version !== VERSION || rest.length > 0) throw new SealBrokenError('The sealed value has an unknown form.');
    const key = this.#ring.get(keyId);
    if (!key) {
      throw new SealBrokenError(
        `The sealed value needs the key “${keyId}”, which VAULT_KEYS no longer has. Add it back.`,
      );
    }
    const bytes = Buffer.from(encoded, 'base64url');
    if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new SealBrokenError('The sealed value is cut short.');
    try {
      const decipher = createDecipheriv(ALGORITHM, aesKey(key), bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
        .setAAD(bindingOf(key.id, place))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      const plain = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      return new Secret(plain.toString('utf8'));
    } catch (cause) {
      throw new SealBrokenError('The sealed value was changed, or belongs to another row.', { cause });
    }
  }

  /** Whether the value is sealed with the current key; if not, a rotation is due. */
  isCurrent(sealed: string): boolean {
    return sealed.startsWith(`${VERSION}.${this.#ring.current.id}.`);
  }
}

/** Longer keys are taken too; AES-256 uses their first 32 bytes. */
const aesKey = ({ key }: Key): Buffer => key.reveal().subarray(0, AES_KEY_BYTES);

/** No part may hold a NUL, so the parts cannot run into each other. */
const bindingOf = (keyId: string, { row, field }: SealPlace): Buffer =>
  Buffer.from(['panql', VERSION, keyId, field, row].join('\0'));
