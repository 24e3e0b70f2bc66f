import { ABILITIES, type Ability } from '../drives/abilities.ts';
import type { AccountProfile, CallContext, DriveAccount, DriveDefinition, ProviderId } from '../drives/driver.ts';
import type { Credentials, Linking, Tokens } from '../drives/linking.ts';
import { type Drive, type DriveSinks, openDrive } from '../drives/open.ts';
import { DRIVES, type DriveServices } from '../drives/registry.ts';
import { DriveError } from '../lib/drive-error.ts';
import { newId } from '../lib/ids.ts';
import type { Renewal } from '../vault/tokens.ts';

/** A kind of drive that accounts can be of, as the API shows it. */
export interface Provider extends Pick<DriveDefinition, 'id' | 'title' | 'linkMethods' | 'settings' | 'errorCodes'> {
  /** Whether the operator has set what it needs, so that it can be linked and used. */
  readonly configured: boolean;
  /** In the order of the schema's enum. */
  readonly abilities: readonly Ability[];
}

type Definition = DriveDefinition<DriveServices>;

/** Every kind of drive of this server, with what their drivers work with. */
export class Drives {
  readonly #definitions: ReadonlyMap<string, Definition>;
  readonly #services: DriveServices;
  readonly #sinks: DriveSinks;

  /** @param definitions The registry's; others in tests. */
  constructor(services: DriveServices, sinks: DriveSinks = {}, definitions: readonly Definition[] = DRIVES) {
    this.#definitions = new Map(definitions.map((definition) => [definition.id, definition]));
    this.#services = services;
    this.#sinks = sinks;
  }

  /** The account's drive, with the layers around it; null when this server has no driver for the provider. */
  open(provider: string, account: DriveAccount): Drive | null {
    const definition = this.#definitions.get(provider);
    return definition ? openDrive(definition, account, this.#services, this.#sinks) : null;
  }

  /** How accounts of the provider are linked; null when there is no driver, nothing to link, or nothing configured. */
  linkingOf(provider: string): Linking | null {
    return this.#definitions.get(provider)?.linking?.(this.#services) ?? null;
  }

  /** How tokens of the provider's accounts are renewed; null where nothing renews them. */
  renewalOf(provider: string): Renewal | null {
    const linking = this.linkingOf(provider);
    const refresh = linking?.refresh;
    if (!linking || !refresh) return null;
    return {
      resendMax: linking.refreshResendMax,
      intervalMinMs: linking.refreshIntervalMinMs ?? 0,
      renew: (credentials, signal) => refresh(credentials, { signal }),
    };
  }

  /** The provider's name for a person. */
  titleOf(provider: string): string {
    return this.#definitions.get(provider)?.title ?? provider;
  }

  /**
   * Who an account is, by credentials that are not stored yet: asked before the account is made.
   * @throws DriveError when the provider does not accept them.
   */
  async profileOf(
    provider: string,
    settings: Readonly<Record<string, string>>,
    { tokens }: Credentials,
    call: CallContext,
  ): Promise<AccountProfile | null> {
    const definition = this.#definitions.get(provider);
    if (!definition) return null;
    const services = { ...this.#services, tokensOf: () => fixedTokens(provider, tokens) };
    const { driver } = openDrive(definition, { id: `linking:${newId()}`, settings }, services, this.#sinks);
    return (await driver.profile?.(call)) ?? null;
  }

  providers(): readonly Provider[] {
    return [...this.#definitions.values()].map((definition) => ({
      ...definition,
      configured: !definition.linking || definition.linking(this.#services) !== null,
      abilities: offered(this.#abilitiesOf(definition)),
    }));
  }

  /** The abilities of any account: a driver is made without an effect, and has its acts whoever it is for. */
  #abilitiesOf({ id }: { readonly id: ProviderId }): ReadonlySet<Ability> {
    return this.open(id, { id: '', settings: {} })?.abilities ?? new Set();
  }
}

/**
 * What a drive offers, in the order of the schema's enum: what its driver does, and changes, which are computed where it
 * tells none.
 */
export const offered = (abilities: ReadonlySet<Ability>): readonly Ability[] =>
  ABILITIES.filter((ability) => abilities.has(ability) || (ability === 'CHANGES' && abilities.has('LIST')));

/** Tokens that are tried once, before they are anybody's: they are not renewed. */
const fixedTokens = (provider: string, tokens: Tokens | null) => {
  const refused = () =>
    new DriveError('unauthenticated', 'The provider does not accept these credentials.', { provider });
  return {
    current: async () => {
      if (!tokens) throw refused();
      return { value: tokens.accessToken, expiresAt: null };
    },
    refresh: async () => {
      throw refused();
    },
  };
};
