import { Secret } from '../lib/secret.ts';
import { Account } from '../storage/entities/account.ts';
import type { Storage } from '../storage/orm.ts';
import type { Cipher, SealPlace } from './cipher.ts';

/** What speaks for an account at its provider. */
export interface StoredTokens {
  readonly accessToken: Secret;
  readonly refreshToken: Secret | null;
  /** Of the access token; null: not told. */
  readonly expiresAt: Date | null;
}

/** Everything secret of an account. */
export interface StoredCredentials {
  readonly tokens: StoredTokens | null;
  /** Secret values that a person typed, by name. */
  readonly secrets: Readonly<Record<string, Secret>>;
}

interface PlainCredentials {
  readonly tokens: {
    readonly access: string;
    readonly refresh: string | null;
    readonly expiresAt: string | null;
  } | null;
  readonly secrets: Readonly<Record<string, string>>;
}

/** Rows that one step of a rotation takes: each step is a transaction of its own. */
const ROTATION_BATCH = 100;
const MASK_SHOWN = 4;

const placeOf = (accountId: string): SealPlace => ({ row: accountId, field: 'accounts.sealed_credentials' });

/** Secrets at rest. What is stored is sealed and bound to its row; what is read is a {@link Secret}. */
export class Vault {
  readonly #cipher: Cipher;

  constructor(cipher: Cipher) {
    this.#cipher = cipher;
  }

  /** The columns of an account that keep these credentials. */
  sealCredentials(accountId: string, credentials: StoredCredentials) {
    const { tokens, secrets } = credentials;
    const plain: PlainCredentials = {
      tokens: tokens && {
        access: tokens.accessToken.reveal(),
        refresh: tokens.refreshToken?.reveal() ?? null,
        expiresAt: tokens.expiresAt?.toISOString() ?? null,
      },
      secrets: Object.fromEntries(Object.entries(secrets).map(([name, secret]) => [name, secret.reveal()])),
    };
    return {
      sealedCredentials: this.#cipher.seal(new Secret(JSON.stringify(plain)), placeOf(accountId)),
      credentialsExpireAt: tokens?.expiresAt ?? null,
    };
  }

  /** @throws SealBrokenError when they cannot be opened. */
  openCredentials({ id, sealedCredentials }: Pick<Account, 'id' | 'sealedCredentials'>): StoredCredentials {
    if (!sealedCredentials) return { tokens: null, secrets: {} };
    const plain = JSON.parse(this.#cipher.open(sealedCredentials, placeOf(id)).reveal()) as PlainCredentials;
    return {
      tokens: plain.tokens && {
        accessToken: new Secret(plain.tokens.access),
        refreshToken: plain.tokens.refresh === null ? null : new Secret(plain.tokens.refresh),
        expiresAt: plain.tokens.expiresAt === null ? null : new Date(plain.tokens.expiresAt),
      },
      secrets: Object.fromEntries(Object.entries(plain.secrets).map(([name, value]) => [name, new Secret(value)])),
    };
  }

  /** Seals any JSON for a row: the state of a login that goes on, say. */
  sealJson(value: unknown, place: SealPlace): string {
    return this.#cipher.seal(new Secret(JSON.stringify(value)), place);
  }

  /** @throws SealBrokenError. */
  openJson(sealed: string, place: SealPlace): unknown {
    return JSON.parse(this.#cipher.open(sealed, place).reveal());
  }

  /** `••••` and the end of the access token, so that a person can tell two apart; of a short one, nothing. */
  mask(credentials: StoredCredentials): string {
    const token = credentials.tokens?.accessToken.reveal() ?? '';
    return token.length >= MASK_SHOWN * 6 ? `••••${token.slice(-MASK_SHOWN)}` : '••••';
  }

  /** Seals with the current key what is still sealed with an older one. Gives how many rows were changed. */
  async rotate(storage: Storage): Promise<number> {
    let rotated = 0;
    for (let after = ''; ; ) {
      const batch = await storage.transaction(async (em) => {
        const rows = await em.find(
          Account,
          { id: { $gt: after }, sealedCredentials: { $ne: null } },
          { orderBy: { id: 'asc' }, limit: ROTATION_BATCH },
        );
        for (const row of rows) {
          if (!row.sealedCredentials || this.#cipher.isCurrent(row.sealedCredentials)) continue;
          const sealed = row.sealedCredentials;
          const next = this.#cipher.seal(this.#cipher.open(sealed, placeOf(row.id)), placeOf(row.id));
          // A refresh that stores a new pair meanwhile wins: it sealed with the current key anyway.
          rotated += await em.nativeUpdate(
            Account,
            { id: row.id, sealedCredentials: sealed },
            { sealedCredentials: next },
          );
        }
        return rows.map(({ id }) => id);
      });
      const last = batch.at(-1);
      if (last === undefined) return rotated;
      after = last;
    }
  }
}
