import { ABILITIES, type Ability } from '../drives/abilities.ts';
import type { DriveAccount, DriveDefinition, ProviderId } from '../drives/driver.ts';
import { type Drive, type DriveSinks, openDrive } from '../drives/open.ts';
import { DRIVES, type DriveServices } from '../drives/registry.ts';

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

  providers(): readonly Provider[] {
    return [...this.#definitions.values()].map((definition) => ({
      ...definition,
      configured: true, // No driver here needs keys of the operator.
      abilities: sorted(this.#abilitiesOf(definition)),
    }));
  }

  /** The abilities of any account: a driver is made without an effect, and has its acts whoever it is for. */
  #abilitiesOf({ id }: { readonly id: ProviderId }): ReadonlySet<Ability> {
    return this.open(id, { id: '', settings: {} })?.abilities ?? new Set();
  }
}

/** Abilities in the order of the schema's enum. */
export const sorted = (abilities: ReadonlySet<Ability>): readonly Ability[] =>
  ABILITIES.filter((ability) => abilities.has(ability));
