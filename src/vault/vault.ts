import { Secret } from '../lib/secret.ts';
import type { Account } from '../storage/entities/account.ts';
import type { Storage } from '../storage/orm.ts';
import { type Cipher, SealBrokenError, type SealPlace } from './cipher.ts';

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

/** Credentials as JSON: to be sealed. */
export interface PlainCredentials {
  readonly tokens: {
    readonly access: string;
    readonly refresh: string | null;
    readonly expiresAt: string | null;
  } | null;
  readonly secrets: Readonly<Record<string, string>>;
}

/** Every column with sealed values, and the key of its rows: what a rotation goes through. */
const SEALED_COLUMNS = {
  'accounts.sealed_credentials': 'id',
  'device_links.sealed_state': 'id',
  'pending_authorizations.sealed_verifier': 'state_hash',
  'shares.sealed_password': 'id',
  'transfers.sealed_source': 'id',
  'offline_tasks.sealed_url': 'id',
} as const;

export interface VaultPlace extends SealPlace {
  readonly field: keyof typeof SEALED_COLUMNS;
}

export interface Rotation {
  /** Values that are now sealed with the current key. */
  readonly rotated: number;
  /** Values that could not be opened, and stay as they are. */
  readonly unreadable: number;
}

/** Rows that one step of a rotation takes: each step is a transaction of its own. */
const ROTATION_BATCH = 100;

const placeOf = (accountId: string): VaultPlace => ({ row: accountId, field: 'accounts.sealed_credentials' });

/** Secrets at rest. What is stored is sealed and bound to its row; what is read is a {@link Secret}. */
export class Vault {
  readonly #cipher: Cipher;

  constructor(cipher: Cipher) {
    this.#cipher = cipher;
  }

  /** The columns of an account that keep these credentials. */
  sealCredentials(accountId: string, credentials: StoredCredentials) {
    return {
      sealedCredentials: this.sealJson(plainOf(credentials), placeOf(accountId)),
      credentialsExpireAt: credentials.tokens?.expiresAt ?? null,
    };
  }

  /** @throws SealBrokenError when they cannot be opened. */
  openCredentials({ id, sealedCredentials }: Pick<Account, 'id' | 'sealedCredentials'>): StoredCredentials {
    if (!sealedCredentials) return { tokens: null, secrets: {} };
    return credentialsOf(this.openJson(sealedCredentials, placeOf(id)) as PlainCredentials);
  }

  /** Seals any JSON for a row: the state of a login that goes on, say. A {@link Secret} in it would be lost. */
  sealJson(value: unknown, place: VaultPlace): string {
    return this.#cipher.seal(new Secret(JSON.stringify(value)), place);
  }

  /** @throws SealBrokenError. */
  openJson(sealed: string, place: VaultPlace): unknown {
    return JSON.parse(this.#cipher.open(sealed, place).reveal());
  }

  /**
   * Seals with the current key what is still sealed with an older one; afterwards the older ones can go. It may run
   * beside everything else, also twice. Accounts whose tokens are refreshed come to the current key without it.
   * @param options `dryRun`: only counts.
   */
  async rotate(storage: Storage, { dryRun = false }: { readonly dryRun?: boolean } = {}): Promise<Rotation> {
    const total = { rotated: 0, unreadable: 0 };
    for (const field of Object.keys(SEALED_COLUMNS) as (keyof typeof SEALED_COLUMNS)[]) {
      const { rotated, unreadable } = await this.#rotateColumn(storage, field, dryRun);
      total.rotated += rotated;
      total.unreadable += unreadable;
    }
    return total;
  }

  async #rotateColumn(storage: Storage, field: keyof typeof SEALED_COLUMNS, dryRun: boolean): Promise<Rotation> {
    const [table, column] = field.split('.');
    const key = SEALED_COLUMNS[field];
    let [rotated, unreadable] = [0, 0];
    for (let after = ''; ; ) {
      const last = await storage.transaction(async (em) => {
        const rows = await em.execute<{ row: string; sealed: string }[]>(
          `select ${key} as row, ${column} as sealed from ${table} where ${key} > ? and ${column} is not null order by ${key} limit ${ROTATION_BATCH}`,
          [after],
        );
        for (const { row, sealed } of rows) {
          if (this.#cipher.isCurrent(sealed)) continue;
          const next = this.#sealAnew(sealed, { row, field });
          if (next === null) unreadable += 1;
          else if (dryRun) rotated += 1;
          else {
            // What is stored meanwhile wins: it is sealed with the current key anyway.
            const { affectedRows } = await em.execute<{ affectedRows: number }>(
              `update ${table} set ${column} = ? where ${key} = ? and ${column} = ?`,
              [next, row, sealed],
              'run',
            );
            rotated += affectedRows;
          }
        }
        return rows.at(-1)?.row;
      });
      if (last === undefined) return { rotated, unreadable };
      after = last;
    }
  }

  /** Null when it cannot be opened: one broken value must not keep the others on an old key. */
  #sealAnew(sealed: string, place: VaultPlace): string | null {
    try {
      return this.#cipher.seal(this.#cipher.open(sealed, place), place);
    } catch (error) {
      if (error instanceof SealBrokenError) return null;
      throw error;
    }
  }
}

/** In clear: for {@link Vault.sealJson} and nothing else. */
export const plainOf = ({ tokens, secrets }: StoredCredentials): PlainCredentials => ({
  tokens: tokens && {
    access: tokens.accessToken.reveal(),
    refresh: tokens.refreshToken?.reveal() ?? null,
    expiresAt: tokens.expiresAt?.toISOString() ?? null,
  },
  secrets: Object.fromEntries(Object.entries(secrets).map(([name, secret]) => [name, secret.reveal()])),
});

/** What {@link plainOf} was made of. */
export const credentialsOf = ({ tokens, secrets }: PlainCredentials): StoredCredentials => ({
  tokens: tokens && {
    accessToken: new Secret(tokens.access),
    refreshToken: tokens.refresh === null ? null : new Secret(tokens.refresh),
    expiresAt: tokens.expiresAt === null ? null : new Date(tokens.expiresAt),
  },
  secrets: Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, new Secret(value)])),
});
