import type { EventBus } from '../events/bus.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { DriveError } from '../lib/drive-error.ts';
import type { Logger } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import { sleep, type Timer } from '../lib/timer.ts';
import { Account } from '../storage/entities/account.ts';
import type { Storage } from '../storage/orm.ts';
import { SealBrokenError } from './cipher.ts';
import type { StoredCredentials, StoredTokens, Vault } from './vault.ts';

export interface AccessToken {
  readonly value: Secret;
  /** Null: not told. */
  readonly expiresAt: Date | null;
}

/** How a provider's tokens are renewed. */
export interface Renewal {
  /** Asks the provider for a new pair. Throws only DriveError; `unauthenticated`: the grant is dead. */
  renew(credentials: StoredCredentials, signal: AbortSignal): Promise<StoredTokens>;
  /** How often one refresh token may be sent again when its answer was lost. */
  readonly resendMax: number;
  /** Shortest time between two refreshes, in milliseconds; default 0. An account that was just linked may be refreshed at once. */
  readonly intervalMinMs?: number;
}

export interface AccountTokensParts {
  readonly storage: Storage;
  readonly vault: Vault;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly timer: Timer;
  readonly log: Logger;
  /** Names this process in leases. */
  readonly owner: string;
}

/** One refresh may take so long, in milliseconds; then another process may believe the one that began it dead. */
const LEASE_MS = 45_000;
const REFRESH_TIMEOUT_MS = 30_000;
/** How often a process that waits for another's refresh looks, in milliseconds. */
const LOOK_MS = 150;

/**
 * The tokens of one account, for its drivers. A refresh happens once for all callers of all processes: a lease in the
 * row, no transaction open meanwhile. The new pair is stored before it is given; what was sent is noted before it is
 * sent, so that a token whose answer was lost is not sent again and again, which kills grants for good.
 */
export class AccountTokens {
  readonly #parts: AccountTokensParts;
  readonly #accountId: string;
  readonly #provider: string;
  readonly #renewal: Renewal | null;

  constructor(
    parts: AccountTokensParts,
    account: { readonly id: string; readonly provider: string },
    renewal: Renewal | null,
  ) {
    this.#parts = parts;
    this.#accountId = account.id;
    this.#provider = account.provider;
    this.#renewal = renewal;
  }

  /** @throws DriveError `unauthenticated` when a person must link the account again. */
  async current(): Promise<AccessToken> {
    return this.#tokenOf(await this.#row());
  }

  /** @throws DriveError `unauthenticated`, or what kept the provider from answering. */
  async refresh(stale: AccessToken): Promise<AccessToken> {
    const { timer, clock } = this.#parts;
    const deadline = timer.nowMs() + LEASE_MS + LOOK_MS;
    for (;;) {
      const row = await this.#row();
      const token = this.#tokenOf(row);
      if (token.value.reveal() !== stale.value.reveal()) return token;
      if (await this.#claim(clock.now())) return this.#renewClaimed(stale);
      if (timer.nowMs() > deadline) {
        throw this.#error(
          'unavailable',
          'Another process has been refreshing the tokens of this account for too long.',
        );
      }
      await sleep(timer, LOOK_MS, NEVER);
    }
  }

  async #renewClaimed(stale: AccessToken): Promise<AccessToken> {
    const { storage, vault, clock } = this.#parts;
    let notSent: number | null = null;
    let row: Account;
    try {
      row = await this.#row(); // Read again: the one before may have stored a pair and let go in between.
      const token = this.#tokenOf(row);
      if (token.value.reveal() !== stale.value.reveal()) return token;
      const credentials = vault.openCredentials(row);
      if (
        !this.#renewal ||
        !credentials.tokens ||
        (credentials.tokens.refreshToken === null && !hasSecrets(credentials))
      ) {
        throw await this.#dead(row, 'Its access has run out, and it has nothing to renew it with.');
      }
      if (row.refreshSends > this.#renewal.resendMax) {
        throw await this.#dead(row, 'The answer to its last renewal was lost.');
      }
      this.#checkInterval(row, this.#renewal);
      await storage.fork().nativeUpdate(Account, { id: this.#accountId }, { refreshSends: row.refreshSends + 1 });
      const tokens = await this.#renewal
        .renew(credentials, AbortSignal.timeout(REFRESH_TIMEOUT_MS))
        .catch(async (error) => {
          if (error instanceof DriveError && error.category === 'unauthenticated') {
            throw await this.#dead(row, 'Its provider no longer accepts its tokens.', error);
          }
          if (error instanceof DriveError && error.nothingDone) notSent = row.refreshSends;
          throw error;
        });
      const stored = await this.#store(row, stale, {
        ...vault.sealCredentials(this.#accountId, { ...credentials, tokens }),
        credentialsRefreshedAt: clock.now(),
        refreshSends: 0,
        status: 'ACTIVE',
      });
      if (!stored) return this.current();
      await this.#announce();
      return { value: tokens.accessToken, expiresAt: tokens.expiresAt };
    } finally {
      await this.#release(notSent);
    }
  }

  /** Some providers punish who comes back too soon: then nothing is sent. */
  #checkInterval({ credentialsRefreshedAt }: Account, { intervalMinMs = 0 }: Renewal): void {
    const sinceMs = this.#parts.clock.now().getTime() - (credentialsRefreshedAt?.getTime() ?? 0);
    if (sinceMs < 0 || sinceMs >= intervalMinMs) return;
    throw new DriveError('rate_limited', 'The access of this account was renewed a moment ago. Try again later.', {
      provider: this.#provider,
      retryAfterMs: intervalMinMs - sinceMs,
    });
  }

  /**
   * Changes the row if its tokens are still the stale ones. Not if the account was linked again meanwhile: what its
   * person gave counts, whatever comes of the older grant. A rotation meanwhile only sealed the same tokens anew.
   */
  async #store(read: Account, stale: AccessToken, changes: Partial<Account>): Promise<boolean> {
    for (let row = read; ; ) {
      const { sealedCredentials } = row;
      const where = { id: this.#accountId, sealedCredentials };
      if ((await this.#parts.storage.fork().nativeUpdate(Account, where, changes)) === 1) return true;
      row = await this.#row();
      if (this.#tokenOf(row).value.reveal() !== stale.value.reveal()) return false;
    }
  }

  /** One statement decides who refreshes. */
  async #claim(now: Date): Promise<boolean> {
    const { storage, owner } = this.#parts;
    const claimed = await storage
      .fork()
      .nativeUpdate(
        Account,
        { id: this.#accountId, $or: [{ refreshUntil: null }, { refreshUntil: { $lt: now } }] },
        { refreshOwner: owner, refreshUntil: addMs(now, LEASE_MS) },
      );
    return claimed === 1;
  }

  /** @param notSent What the count was before a sending that never reached the provider; null: the count stays. */
  async #release(notSent: number | null): Promise<void> {
    const { storage, owner } = this.#parts;
    await storage
      .fork()
      .nativeUpdate(
        Account,
        { id: this.#accountId, refreshOwner: owner },
        { refreshOwner: null, refreshUntil: null, ...(notSent === null ? {} : { refreshSends: notSent }) },
      );
  }

  /** Marks the account; its person must link it again. Its access token stays until then: nobody is asked to use it. */
  async #dead({ sealedCredentials }: Account, reason: string, cause?: unknown): Promise<DriveError> {
    const { storage, log } = this.#parts;
    // Not when it was linked again meanwhile.
    await storage
      .fork()
      .nativeUpdate(
        Account,
        { id: this.#accountId, status: 'ACTIVE', sealedCredentials },
        { status: 'NEEDS_REAUTHORIZATION' },
      );
    log.warn({ accountId: this.#accountId, provider: this.#provider, reason }, 'an account needs to be linked again');
    await this.#announce();
    return this.#error('unauthenticated', `This account must be linked again. ${reason}`, cause);
  }

  async #announce(): Promise<void> {
    await this.#parts.events.publish('account.changed', { accountId: this.#accountId });
  }

  async #row(): Promise<Account> {
    // From the write connection: what another caller stored a moment ago must be seen.
    const row = await this.#parts.storage
      .fork()
      .findOne(Account, { id: this.#accountId }, { disableIdentityMap: true, connectionType: 'write' });
    if (!row) throw this.#error('unauthenticated', 'This account is no longer linked.');
    return row;
  }

  #tokenOf(row: Account): AccessToken {
    const { tokens } = this.#opened(row);
    if (row.status !== 'ACTIVE' || !tokens) {
      throw this.#error('unauthenticated', 'This account must be linked again before it can be used.');
    }
    return { value: tokens.accessToken, expiresAt: tokens.expiresAt };
  }

  /** Its status stays: the operator may put a missing key back. Linked again, it is sealed anew. */
  #opened(row: Account): StoredCredentials {
    try {
      return this.#parts.vault.openCredentials(row);
    } catch (error) {
      if (!(error instanceof SealBrokenError)) throw error;
      this.#parts.log.error({ err: error, accountId: row.id }, 'the credentials of an account cannot be opened');
      throw this.#error(
        'unauthenticated',
        'The stored credentials of this account cannot be opened. Link it again, or ask the operator of this server to look into its log.',
        error,
      );
    }
  }

  #error(category: 'unauthenticated' | 'unavailable', message: string, cause?: unknown): DriveError {
    return new DriveError(category, message, { provider: this.#provider, cause });
  }
}

const hasSecrets = ({ secrets }: StoredCredentials): boolean => Object.keys(secrets).length > 0;

const NEVER = new AbortController().signal;
