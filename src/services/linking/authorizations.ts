import { createHash } from 'node:crypto';
import { addMs, type Clock } from '../../lib/clock.ts';
import { InvalidInputError, UnsupportedError } from '../../lib/errors.ts';
import { hashToken, newToken } from '../../lib/ids.ts';
import type { Account } from '../../storage/entities/account.ts';
import { PendingAuthorization } from '../../storage/entities/linking.ts';
import type { Storage } from '../../storage/orm.ts';
import type { Vault, VaultPlace } from '../../vault/vault.ts';
import type { Links } from '../links.ts';
import type { Viewer } from '../viewer.ts';
import { type AccountLinker, told } from './linker.ts';

/** Where a provider sends the browser back to. */
export const LINK_CALLBACK_PATH = '/link/callback';
/** How long a person may take at the provider's page, in milliseconds: its code lives 10 minutes as well. */
const PENDING_MS = 15 * 60_000;
const REDIRECT_URI_MAX = 2048;
/** Codes of all providers are far shorter. */
const CODE_MAX = 4096;

export interface AuthorizationsParts {
  readonly storage: Storage;
  readonly vault: Vault;
  readonly linker: AccountLinker;
  readonly links: Links;
  readonly clock: Clock;
}

export interface StartedAuthorization {
  readonly authorizationUrl: string;
  readonly state: string;
}

/** Sign-in on the provider's own page. The state names the request, is used once, and binds it to who began it. */
export class Authorizations {
  readonly #parts: AuthorizationsParts;

  constructor(parts: AuthorizationsParts) {
    this.#parts = parts;
  }

  /** @throws UnsupportedError, InvalidInputError, PermissionDeniedError. */
  async begin(
    viewer: Viewer,
    input: Parameters<AccountLinker['target']>[1] & { redirectUri?: string | null | undefined },
  ): Promise<StartedAuthorization> {
    const { linker, storage, vault, links, clock } = this.#parts;
    const target = linker.target(viewer, input);
    const { authorizationUrl } = linker.linkingOf(target.provider);
    if (!authorizationUrl) {
      throw new UnsupportedError(`${target.provider} has no sign-in page: see Provider.linkMethods.`, null);
    }
    const redirectUri = input.redirectUri?.trim() || links.absolute(LINK_CALLBACK_PATH);
    if (redirectUri !== 'oob' && (redirectUri.length > REDIRECT_URI_MAX || !URL.canParse(redirectUri))) {
      throw InvalidInputError.at('input.redirectUri', 'must be an absolute URL that the provider knows');
    }
    const state = newToken();
    const codeVerifier = newToken(48);
    const stateHash = hashToken(state);
    const now = clock.now();
    await storage.transaction(async (em) => {
      em.create(PendingAuthorization, {
        stateHash,
        userId: target.userId,
        provider: target.provider,
        label: target.label,
        shared: target.shared,
        redirectUri,
        sealedVerifier: vault.sealJson(codeVerifier, placeOf(stateHash)),
        createdAt: now,
        expiresAt: addMs(now, PENDING_MS),
      });
    });
    const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url');
    return { authorizationUrl: authorizationUrl({ state, redirectUri, codeChallenge }), state };
  }

  /**
   * Exchanges what the provider's page gave. By the API only who began it may; by the callback the state alone says who.
   * @throws InvalidInputError for an unknown, used, expired or another's state; DriveError.
   */
  async complete(viewer: Viewer | null, state: string, code: string, signal: AbortSignal): Promise<Account> {
    const { storage, vault, linker, clock } = this.#parts;
    if (code.trim() === '' || code.length > CODE_MAX) {
      throw InvalidInputError.at('input.code', "must be the code that the provider's page gave");
    }
    const stateHash = hashToken(state);
    const pending = await storage.transaction(async (em) => {
      const row = await em.findOne(PendingAuthorization, { stateHash });
      if (!row || row.expiresAt <= clock.now() || (viewer && viewer.userId !== row.userId)) return null;
      // Taken by one caller, whatever comes of it: a code works once as well.
      return (await em.nativeDelete(PendingAuthorization, { stateHash })) === 1 ? row : null;
    });
    if (!pending) {
      throw InvalidInputError.at(
        'input.state',
        'is not one of a sign-in under way: begin again with startAuthorizationLink',
      );
    }
    const linking = linker.linkingOf(pending.provider);
    if (!linking.exchangeCode) throw new UnsupportedError(`${pending.provider} has no sign-in page.`, null);
    const codeVerifier = String(vault.openJson(pending.sealedVerifier, placeOf(stateHash)));
    const exchange = { code: code.trim(), redirectUri: pending.redirectUri, codeVerifier };
    const exchangeCode = linking.exchangeCode;
    const complete = async () =>
      linker.link(
        { ...pending, label: pending.label ?? null },
        { tokens: await exchangeCode(exchange, { signal }), secrets: {} },
        {},
        { signal },
      );
    return told(complete(), () => clock.now());
  }

  async sweep(): Promise<number> {
    return this.#parts.storage
      .fork()
      .nativeDelete(PendingAuthorization, { expiresAt: { $lte: this.#parts.clock.now() } });
  }
}

const placeOf = (stateHash: string): VaultPlace => ({
  row: stateHash,
  field: 'pending_authorizations.sealed_verifier',
});
