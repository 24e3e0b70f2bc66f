import type { Server } from 'node:http';
import type { Config } from './config.ts';
import type { EventBus } from './events/bus.ts';
import { openEventBus } from './events/open.ts';
import { type Clock, systemClock } from './lib/clock.ts';
import type { Logger } from './lib/log.ts';
import { systemTimer } from './lib/timer.ts';
import { createCors } from './server/cors.ts';
import { createFactsReader } from './server/facts.ts';
import { createGraphql, GRAPHQL_PATH, type Yoga } from './server/graphql.ts';
import { createHttpServer, type Route } from './server/http.ts';
import { LiveStreams } from './server/live.ts';
import { createMetrics } from './server/metrics.ts';
import { createOrigin } from './server/origin.ts';
import { Audit } from './services/audit.ts';
import { createIdentity } from './services/identity/identity.ts';
import type { PasswordCost } from './services/identity/passwords.ts';
import { Links } from './services/links.ts';
import { Health, type Services } from './services/services.ts';
import { Throttle } from './services/throttle.ts';
import { openStorage, type Storage } from './storage/orm.ts';
import { loadKeyRing } from './vault/keyring.ts';

/** What a test may replace. */
export interface AppOverrides {
  readonly clock?: Clock;
  readonly onQuery?: (sql: string) => void;
  /** What a password hash costs; the real one takes most of a test's time. */
  readonly passwordCost?: PasswordCost;
}

export interface App {
  readonly config: Config;
  readonly storage: Storage;
  readonly events: EventBus;
  readonly services: Services;
  readonly yoga: Yoga;
  readonly server: Server;
  /** Closes everything, in the reverse order of opening. */
  close(): Promise<void>;
}

/** The composition root: what is made of what. Nothing listens yet. */
export async function createApp(config: Config, log: Logger, overrides: AppOverrides = {}): Promise<App> {
  const clock = overrides.clock ?? systemClock;
  const jwtKeys = loadKeyRing({ ...config, name: 'JWT_KEYS', configured: config.jwtKeys });
  const storage = await openStorage({
    url: config.databaseUrl,
    log,
    ...(overrides.onQuery ? { onQuery: overrides.onQuery } : {}),
  });
  const events = await openEventBus({ ...config, log });
  const links = new Links(createOrigin(config.publicUrl, config.host, () => server));
  const audit = new Audit(storage, clock);
  const throttle = new Throttle({ clock, log, redisUrl: config.redisUrl });
  const identity = await createIdentity({
    ...config,
    storage,
    clock,
    log,
    events,
    audit,
    throttle,
    keys: jwtKeys,
    passwordCost: overrides.passwordCost,
  });
  const services: Services = { health: new Health(storage), links, identity, audit, throttle };
  const clientOf = createFactsReader({ identity, trustProxy: config.trustProxy });
  const live = new LiveStreams({ clock, timer: systemTimer });
  const metrics = createMetrics();
  const { yoga } = createGraphql({ services, log, live, metrics, clientOf, ...config });
  const route: Route = {
    path: GRAPHQL_PATH,
    handle: (req, response) => yoga.handle(req, response, { req, ending: new AbortController() }),
  };
  const cors = createCors(config.corsOrigins);
  const server = createHttpServer({ routes: [route], cors, log, metrics });
  return {
    config,
    storage,
    events,
    services,
    yoga,
    server,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await yoga.dispose();
      await identity.close();
      await events.close();
      await throttle.close();
      await storage.close();
    },
  };
}
