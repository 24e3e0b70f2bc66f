import { compose } from '../lib/layers.ts';
import { type Ability, abilitiesOf } from './abilities.ts';
import type { DriveAccount, DriveDefinition, Driver, ProviderId } from './driver.ts';
import { DriveError } from './errors.ts';
import { abilityLayer } from './layers/ability.ts';
import { announceLayer, type NoticeSink, type Places } from './layers/announce.ts';
import { type AuditSink, auditLayer } from './layers/audit.ts';
import { cacheLayer } from './layers/cache.ts';
import type { DriveCall, DriveLayer } from './layers/call.ts';
import { deadlineLayer } from './layers/deadline.ts';
import { type MetricsSink, metricsLayer } from './layers/metrics.ts';
import {
  findAct,
  isCallContext,
  type Operation,
  type OperationArgs,
  type OperationResult,
  wrapActs,
} from './operations.ts';
import type { ReadCache } from './read-cache.ts';

/** One account's drive, ready for use: every act passes the layers. */
export interface Drive {
  readonly provider: ProviderId;
  readonly accountId: string;
  readonly abilities: ReadonlySet<Ability>;
  /** The driver with the layers around it; what it cannot do is absent. */
  readonly driver: Driver;
  /** Does an act by its name. One that the driver does not have is refused as `unsupported`, naming the ability. */
  run<Path extends Operation>(operation: Path, ...args: OperationArgs<Path>): OperationResult<Path>;
}

export interface DriveSinks {
  readonly metrics?: MetricsSink;
  readonly audit?: AuditSink;
  /** What was read of drives that are elsewhere. */
  readonly reads?: ReadCache;
  /** Told what is changed on drives that are elsewhere; with where their entries were seen. */
  readonly changes?: { readonly announce: NoticeSink; readonly places: Places };
  /** How long an act may take; for tests. */
  readonly deadlineMsOf?: (operation: string) => number;
}

/** A definition, an account of it and what the driver works with: a ready drive. Nothing is contacted yet. */
export function openDrive<Services>(
  definition: DriveDefinition<Services>,
  account: DriveAccount,
  services: Services,
  sinks: DriveSinks = {},
): Drive {
  const bare = definition.create(account, services);
  const identity = { provider: definition.id, accountId: account.id };
  const funnel = compose(layersOf(sinks, definition), (call) => act(bare, call));

  const run = (operation: string, args: readonly unknown[]): Promise<unknown> => {
    const context = args.at(-1);
    if (!isCallContext(context)) throw new TypeError(`${operation} was called without its call context`);
    const supported = findAct(bare, operation) !== null;
    return funnel({ ...identity, operation, args: args.slice(0, -1), context, supported });
  };
  return {
    ...identity,
    abilities: abilitiesOf(bare),
    driver: wrapActs(
      bare,
      (path) =>
        (...args) =>
          run(path, args),
    ),
    run: <Path extends Operation>(operation: Path, ...args: OperationArgs<Path>) =>
      run(operation, args) as OperationResult<Path>,
  };
}

/**
 * Outermost first. Metrics and audit see also what is refused; an absent ability is refused before a clock starts; a
 * change is announced when what was read before it is no longer given; what was read before costs no time of the
 * driver's, and of what several read at once each may leave by itself; the deadline is next to the driver, so that it
 * counts the driver's own time.
 */
const layersOf = (sinks: DriveSinks, { linkMethods }: Pick<DriveDefinition, 'linkMethods'>): readonly DriveLayer[] => [
  ...(sinks.metrics ? [metricsLayer(sinks.metrics)] : []),
  ...(sinks.audit ? [auditLayer(sinks.audit)] : []),
  abilityLayer,
  // What needs no linking is on this machine: it is read faster than remembered, and tells its changes itself.
  ...(linkMethods.includes('NONE')
    ? []
    : [
        ...(sinks.changes ? [announceLayer(sinks.changes.announce, sinks.changes.places)] : []),
        ...(sinks.reads ? [cacheLayer(sinks.reads)] : []),
      ]),
  deadlineLayer(sinks.deadlineMsOf),
];

/** The driver itself; its error learns which act it was. */
async function act(driver: Driver, call: DriveCall): Promise<unknown> {
  try {
    return await findAct(driver, call.operation)?.(...call.args, call.context);
  } catch (error) {
    if (!(error instanceof DriveError) || error.operation !== null) throw error;
    throw new DriveError(error.category, error.message, { ...error, operation: call.operation, cause: error });
  }
}
