import type { CallContext } from '../../drives/driver.ts';
import { domainErrorOf } from '../../drives/errors.ts';
import type { Credentials, Linking } from '../../drives/linking.ts';
import type { EventBus } from '../../events/bus.ts';
import type { Clock } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import {
  ConflictError,
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
  UnsupportedError,
} from '../../lib/errors.ts';
import { newId } from '../../lib/ids.ts';
import type { Logger } from '../../lib/log.ts';
import { Account } from '../../storage/entities/account.ts';
import { DeviceLink } from '../../storage/entities/linking.ts';
import type { Storage } from '../../storage/orm.ts';
import type { Vault } from '../../vault/vault.ts';
import type { Accounts } from '../accounts.ts';
import type { Audit } from '../audit.ts';
import type { Drives } from '../drives.ts';
import type { Viewer } from '../viewer.ts';

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
    if (input.shared && viewer.role !== 'ADMIN') {
      throw new PermissionDeniedError('Only an administrator can link an account for everybody.');
    }
    const label = input.label?.trim() || null;
    if (label && (label.length > 128 || /\p{Cc}/u.test(label))) {
      throw InvalidInputError.at('input.label', 'must be at most 128 characters of plain text');
    }
    return { userId: viewer.userId, provider: input.provider, label, shared: input.shared ?? false };
  }

  /**
   * Asks the provider who the account is, then stores the credentials: over those of the account that it already is.
   * @throws DriveError when the provider does not accept them. Nothing is stored then.
   */
  async link(
    target: LinkTarget,
    credentials: Credentials,
    settings: Readonly<Record<string, string>>,
    call: CallContext,
  ): Promise<Account> {
    const { storage, vault, drives, clock, audit, events } = this.#parts;
    const profile = await drives.profileOf(target.provider, settings, credentials, call);
    const providerUserId = profile?.providerUserId ?? null;
    const now = clock.now();

    const { account, isNew } = await storage.transaction(async (em) => {
      const existing = await em.findOne(Account, this.#sameAccount(target, providerUserId));
      if (target.accountId && !existing) throw new NotFoundError('There is no such account.');
      if (existing?.providerUserId && providerUserId && existing.providerUserId !== providerUserId && !target.shared) {
        throw new ConflictError('These credentials belong to another account of the provider.');
      }
      const id = existing?.id ?? newId();
      const stored = {
        ...vault.sealCredentials(id, credentials),
        providerUserId: providerUserId ?? existing?.providerUserId ?? null,
        settings: { ...settings },
        status: 'ACTIVE' as const,
        refreshSends: 0,
        credentialsRefreshedAt: now,
        updatedAt: now,
      };
      const row = existing
        ? em.assign(existing, { ...stored, ...(target.label ? { label: target.label } : {}) })
        : em.create(Account, {
            id,
            ownerId: target.userId,
            provider: target.provider,
            label: target.label ?? profile?.name ?? drives.titleOf(target.provider),
            shared: target.shared,
            createdAt: now,
            ...stored,
          });
      return { account: row, isNew: !existing };
    });
    await audit.record({
      userId: target.userId,
      action: isNew ? 'account.link' : 'account.reauthorize',
      accountId: account.id,
      detail: { provider: target.provider, shared: target.shared },
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
    if (account.provider === 'LOCAL')
      throw new PermissionDeniedError('The built-in drive belongs to its user, and stays.');
    if (account.ownerId !== viewer.userId && !(account.shared && viewer.role === 'ADMIN')) {
      throw new PermissionDeniedError('Only who linked this account can unlink it.');
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
      await em.nativeUpdate(DeviceLink, { accountId: account.id }, { accountId: null });
    });
    await audit.record({
      userId: viewer.userId,
      action: 'account.unlink',
      accountId: account.id,
      detail: { revoked },
    });
    await events.publish('account.changed', { accountId: account.id });
  }

  /** The shared account of a provider is one, updated in place; an own one is found by who it is at the provider. */
  #sameAccount({ accountId, userId, provider, shared }: LinkTarget, providerUserId: string | null) {
    if (accountId) return { id: accountId, provider };
    if (shared) return { provider, shared };
    // Without an identity nothing matches: a new account it is.
    return { provider, ownerId: userId, shared, providerUserId: providerUserId ?? '' };
  }
}

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

/** Whether another try may come to another end. */
export const isPassing = (error: unknown): boolean =>
  error instanceof DriveError && (error.retryable || error.persistent);
