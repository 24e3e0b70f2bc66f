import type { CallContext } from '../../drives/driver.ts';
import { domainErrorOf } from '../../drives/errors.ts';
import type { Credentials, Linking } from '../../drives/linking.ts';
import type { EventBus } from '../../events/bus.ts';
import type { Clock } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import {
  ConflictError,
  findDomainError,
  NotFoundError,
  PermissionDeniedError,
  UnsupportedError,
} from '../../lib/errors.ts';
import { newId } from '../../lib/ids.ts';
import type { Logger } from '../../lib/log.ts';
import { Account } from '../../storage/entities/account.ts';
import { User } from '../../storage/entities/identity.ts';
import { DeviceLink } from '../../storage/entities/linking.ts';
import { OfflineFollow, OfflineTask } from '../../storage/entities/offline-task.ts';
import { Share } from '../../storage/entities/share.ts';
import { ComputedChange, Snapshot } from '../../storage/entities/snapshot.ts';
import type { EntityManager, Storage } from '../../storage/orm.ts';
import { SealBrokenError } from '../../vault/cipher.ts';
import type { Vault } from '../../vault/vault.ts';
import { ACCOUNT_LABEL_MAX, type Accounts, mayManage, validLabel } from '../accounts.ts';
import type { Audit } from '../audit.ts';
import type { Drives } from '../drives.ts';
import { isAdmin, type Viewer } from '../viewer.ts';

/** Longest id of a person at a provider, as the column takes it. */
const PROVIDER_USER_ID_MAX = 128;
/** Of the advisory lock that links of one account wait for on PostgreSQL; any number that nothing else uses. */
const LINK_LOCK = 7_265_002;

export interface LinkerParts {
  readonly storage: Storage;
  readonly vault: Vault;
  readonly drives: Drives;
  readonly accounts: Accounts;
  readonly events: EventBus;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is linked, and for whom. */
export interface LinkTarget {
  readonly userId: string;
  readonly provider: string;
  /** Null: the account's name at the provider, or the provider's title. */
  readonly label: string | null;
  readonly shared: boolean;
  /** The account that is authorized again; null: found by who it is at the provider, or new. */
  readonly accountId?: string | null;
}

/** Makes an account of what a person confirmed, or authorizes again the one that it is already. */
export class AccountLinker {
  readonly #parts: LinkerParts;

  constructor(parts: LinkerParts) {
    this.#parts = parts;
  }

  /**
   * How accounts of a provider are linked.
   * @throws UnsupportedError when it has no such way, or the operator has not configured it.
   */
  linkingOf(provider: string): Linking {
    const linking = this.#parts.drives.linkingOf(provider);
    if (!linking) throw new UnsupportedError(`Accounts of ${provider} cannot be linked on this server.`, null);
    return linking;
  }

  /** @throws PermissionDeniedError when the viewer may not link for everybody. */
  target(
    viewer: Viewer,
    input: { provider: string; label?: string | null | undefined; shared?: boolean | null | undefined },
  ): LinkTarget {
    if (input.shared && !isAdmin(viewer)) {
      throw new PermissionDeniedError('Only an administrator can link an account for everybody.');
    }
    const label = input.label?.trim() ? validLabel(input.label) : null;
    return { userId: viewer.userId, provider: input.provider, label, shared: input.shared ?? false };
  }

  /**
   * Asks the provider who the account is, then stores the credentials: over those of the account that it already is.
   * @throws DriveError when the provider does not accept them; PermissionDeniedError, NotFoundError, ConflictError. Nothing
   *   is stored then.
   */
  async link(
    target: LinkTarget,
    credentials: Credentials,
    settings: Readonly<Record<string, string>>,
    call: CallContext,
  ): Promise<Account> {
    const { storage, vault, drives, clock, audit, events } = this.#parts;
    const profile = await drives.profileOf(target.provider, settings, credentials, call);
    const providerUserId = this.#identityOf(target.provider, profile?.providerUserId ?? null);
    const now = clock.now();

    const account = await storage.transaction(async (em) => {
      await checkRight(em, target);
      const existing = await this.#findExisting(em, target, providerUserId);
      const id = existing?.id ?? newId();
      const stored = {
        ...vault.sealCredentials(id, credentials),
        providerUserId: providerUserId ?? existing?.providerUserId ?? null,
        settings: { ...settings },
        status: 'ACTIVE' as const,
        refreshSends: 0,
        credentialsRefreshedAt: null,
        updatedAt: now,
      };
      const row = existing
        ? em.assign(existing, { ...stored, ...(target.label ? { label: target.label } : {}) })
        : em.create(Account, {
            id,
            ownerId: target.userId,
            provider: target.provider,
            label: target.label ?? (plainLabel(profile?.name) || drives.titleOf(target.provider)),
            shared: target.shared,
            createdAt: now,
            ...stored,
          });
      await audit.record(
        {
          userId: target.userId,
          action: existing ? 'account.reauthorize' : 'account.link',
          accountId: id,
          detail: { provider: target.provider, shared: target.shared },
        },
        em,
      );
      return row;
    });
    await events.publish('account.changed', { accountId: account.id });
    return account;
  }

  /**
   * Forgets an account: its tokens are wiped here, and ended at the provider where it lets us. Its files stay there.
   * @throws NotFoundError, PermissionDeniedError.
   */
  async unlink(viewer: Viewer, accountId: string, call: CallContext): Promise<void> {
    const { storage, vault, accounts, audit, events, log } = this.#parts;
    const account = await accounts.visible(viewer, accountId);
    if (!mayManage(viewer, account)) throw new PermissionDeniedError('Only an administrator can unlink this account.');
    if (account.provider === 'LOCAL') {
      throw new PermissionDeniedError('The built-in drive belongs to its user, and stays.');
    }
    let revoked = false;
    try {
      const linking = this.#parts.drives.linkingOf(account.provider);
      revoked = (await linking?.revoke?.(vault.openCredentials(account), call)) ?? false;
    } catch (error) {
      // The person wants it gone here, whatever the provider says. They can also remove the grant there.
      log.warn({ err: error, accountId }, 'the provider did not confirm that the grant ended');
    }
    await storage.transaction(async (em) => {
      await em.nativeDelete(Account, { id: account.id });
      await em.nativeDelete(Share, { accountId: account.id });
      await em.nativeDelete(Snapshot, { accountId: account.id });
      await em.nativeDelete(ComputedChange, { accountId: account.id });
      await em.nativeDelete(OfflineTask, { accountId: account.id });
      await em.nativeDelete(OfflineFollow, { accountId: account.id });
      await em.nativeUpdate(DeviceLink, { accountId: account.id }, { accountId: null });
      await audit.record(
        { userId: viewer.userId, action: 'account.unlink', accountId: account.id, detail: { revoked } },
        em,
      );
    });
    await events.publish('account.changed', { accountId: account.id });
  }

  /**
   * The account that this is already: of two links at once, the second one finds the first one's.
   * @throws NotFoundError, ConflictError.
   */
  async #findExisting(em: EntityManager, target: LinkTarget, providerUserId: string | null): Promise<Account | null> {
    const { accountId, userId, provider, shared } = target;
    if (this.#parts.storage.dialect === 'postgres') {
      const whose = shared ? provider : `${provider} ${userId}`;
      await em.execute('select pg_advisory_xact_lock(?, hashtext(?))', [LINK_LOCK, whose]);
    }
    // The shared account of a provider is one; of the own ones, none matches a person whom the provider does not tell.
    const same = shared ? { provider, shared } : { provider, shared, ownerId: userId, providerUserId };
    const known = shared || providerUserId ? await em.findOne(Account, same) : null;
    if (!accountId) return known;

    const existing = await em.findOne(Account, { id: accountId, provider });
    if (!existing) throw new NotFoundError('There is no such account.');
    const isOther = existing.providerUserId && providerUserId && existing.providerUserId !== providerUserId;
    if (isOther || (known && known.id !== accountId)) {
      throw new ConflictError('These credentials belong to another account of the provider.');
    }
    return existing;
  }

  /** @throws DriveError when it cannot be kept. */
  #identityOf(provider: string, told: string | null): string | null {
    if (!told) return null;
    if (told.length <= PROVIDER_USER_ID_MAX && !/\p{Cc}/u.test(told)) return told;
    throw new DriveError('unexpected', 'The provider tells an identity of the account that makes no sense.', {
      provider,
    });
  }
}

/** A sign-in may take minutes: whoever began it may have been disabled, or be an administrator no more. */
async function checkRight(em: EntityManager, { userId, shared }: LinkTarget): Promise<void> {
  const user = await em.findOne(User, { id: userId });
  if (!user || user.disabledAt || (shared && user.role !== 'ADMIN')) {
    throw new PermissionDeniedError('Who began this sign-in may no longer link the account.');
  }
}

/** A name that a provider told, as far as it can be a label. */
const plainLabel = (name: string | null | undefined): string =>
  (name ?? '')
    .toWellFormed()
    .replace(/\p{Cc}/gu, ' ')
    .slice(0, ACCOUNT_LABEL_MAX)
    .trim()
    .toWellFormed();

/** What a provider said while somebody was let in, as the API tells it: there is no account yet to authorize again. */
export async function told<Result>(asking: Promise<Result>, now: () => Date): Promise<Result> {
  try {
    return await asking;
  } catch (error) {
    if (!(error instanceof DriveError)) throw error;
    if (error.category === 'unauthenticated') throw new PermissionDeniedError(error.message, { cause: error });
    throw domainErrorOf(error, '', now());
  }
}

/** Whether another try may come to another end: an outage, of the provider or of this server. */
export const isPassing = (error: unknown): boolean =>
  error instanceof DriveError
    ? error.retryable || error.persistent
    : findDomainError(error) === null && !(error instanceof SealBrokenError);
