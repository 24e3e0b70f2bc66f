import { addMs, type Clock } from '../../lib/clock.ts';
import {
  type InputIssue,
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
  UnsupportedError,
} from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import type { Account } from '../../storage/entities/account.ts';
import { type Accounts, mayManage } from '../accounts.ts';
import type { Drives } from '../drives.ts';
import type { Viewer } from '../viewer.ts';
import { type AccountLinker, told } from './linker.ts';

/** Longest token or typed value, in characters. */
const VALUE_MAX = 8192;

export interface CredentialValues {
  readonly provider: string;
  readonly label?: string | null | undefined;
  readonly values: readonly { readonly name: string; readonly value: string }[];
  readonly shared?: boolean | null | undefined;
}

export interface GivenTokens {
  readonly provider: string;
  /** Row id; null: found by who the tokens belong to. */
  readonly accountId: string | null;
  readonly label?: string | null | undefined;
  readonly accessToken: string;
  readonly refreshToken?: string | null | undefined;
  readonly expiresInSeconds?: number | null | undefined;
}

/** Linking without a dialogue: by typed values, or by tokens that an app has. And the way out. */
export class CredentialLinks {
  readonly #linker: AccountLinker;
  readonly #accounts: Accounts;
  readonly #drives: Drives;
  readonly #clock: Clock;

  constructor(parts: { linker: AccountLinker; accounts: Accounts; drives: Drives; clock: Clock }) {
    this.#linker = parts.linker;
    this.#accounts = parts.accounts;
    this.#drives = parts.drives;
    this.#clock = parts.clock;
  }

  /** @throws InvalidInputError naming each value that is missing or unknown; UnsupportedError; DriveError. */
  async linkWithCredentials(viewer: Viewer, input: CredentialValues, signal: AbortSignal): Promise<Account> {
    const target = this.#linker.target(viewer, input);
    const { withCredentials } = this.#linker.linkingOf(input.provider);
    if (!withCredentials) {
      throw new UnsupportedError(`${input.provider} is not linked by typed values: see Provider.linkMethods.`, null);
    }
    const values = this.#valuesOf(input);
    const link = async (): Promise<Account> => {
      const { credentials, settings } = await withCredentials(values, { signal });
      return this.#linker.link(target, credentials, settings, { signal });
    };
    return told(link(), () => this.#clock.now());
  }

  /** @throws NotFoundError, PermissionDeniedError, InvalidInputError, ConflictError (of another account), DriveError. */
  async upsertTokens(viewer: Viewer, input: GivenTokens, signal: AbortSignal): Promise<Account> {
    const accessToken = checked('input.accessToken', input.accessToken);
    const refreshToken = input.refreshToken ? checked('input.refreshToken', input.refreshToken) : null;
    const seconds = input.expiresInSeconds ?? null;
    if (seconds !== null && seconds < 1) throw InvalidInputError.at('input.expiresInSeconds', 'must be at least 1');
    const existing = input.accountId === null ? null : await this.#ownAccount(viewer, input.accountId, input.provider);
    this.#linker.linkingOf(input.provider); // Refused before the provider is asked anything.
    if (!this.#providerOf(input.provider)?.linkMethods.includes('TOKENS')) {
      throw new UnsupportedError(`${input.provider} is not linked by tokens: see Provider.linkMethods.`, null);
    }
    const target = this.#linker.target(viewer, { ...input, shared: existing?.shared ?? false });
    const tokens = {
      accessToken: new Secret(accessToken),
      refreshToken: refreshToken === null ? null : new Secret(refreshToken),
      expiresAt: seconds === null ? null : addMs(this.#clock.now(), seconds * 1000),
    };
    const linked = this.#linker.link(
      { ...target, accountId: existing?.id ?? null },
      { tokens, secrets: {} },
      existing?.settings ?? {},
      { signal },
    );
    return told(linked, () => this.#clock.now());
  }

  async unlink(viewer: Viewer, accountId: string, signal: AbortSignal): Promise<void> {
    await this.#linker.unlink(viewer, accountId, { signal });
  }

  async #ownAccount(viewer: Viewer, accountId: string, provider: string): Promise<Account> {
    const account = await this.#accounts.visible(viewer, accountId);
    if (account.provider !== provider) throw new NotFoundError('There is no such account.');
    if (!mayManage(viewer, account)) {
      throw new PermissionDeniedError('Only an administrator can authorize this account again.');
    }
    return account;
  }

  #providerOf(provider: string) {
    return this.#drives.providers().find(({ id }) => id === provider);
  }

  #valuesOf({ provider, values }: CredentialValues): Record<string, string> {
    const settings = new Map(this.#providerOf(provider)?.settings.map((setting) => [setting.name, setting]));
    const given: Record<string, string> = {};
    const issues: InputIssue[] = [];
    for (const [index, { name, value }] of values.entries()) {
      const setting = settings.get(name);
      const issue = (part: string, message: string) => issues.push({ path: ['input', 'values', index, part], message });
      if (!setting) issue('name', 'is unknown: see Provider.settings');
      else if (Object.hasOwn(given, name)) issue('name', `gives ${name} twice`);
      else if (value.length > VALUE_MAX) issue('value', `must have at most ${VALUE_MAX} characters`);
      // Spaces around a password are part of it.
      else given[name] = setting.secret ? value : value.trim();
    }
    for (const { name, title, required } of settings.values()) {
      if (required && !values.some((one) => one.name === name && one.value.trim() !== '')) {
        issues.push({ path: ['input', 'values'], message: `lacks ${name} (${title})` });
      }
    }
    if (issues.length > 0) throw new InvalidInputError(issues);
    return given;
  }
}

function checked(path: string, token: string): string {
  const trimmed = token.trim();
  if (trimmed === '' || trimmed.length > VALUE_MAX || /[\p{Cc}\s]/u.test(trimmed)) {
    throw InvalidInputError.at(path, `must be a token of 1 to ${VALUE_MAX} characters without spaces`);
  }
  return trimmed;
}
