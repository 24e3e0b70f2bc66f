import type { Server } from 'node:http';
import type { Config } from './config.ts';
import { type Clock, systemClock } from './lib/clock.ts';
import type { Logger } from './lib/log.ts';
import { createGraphql, GRAPHQL_PATH, type Yoga } from './server/graphql.ts';
import { createHttpServer } from './server/http.ts';
import { createOrigin } from './server/origin.ts';
import { Links } from './services/links.ts';
import { Health, type Services } from './services/services.ts';
import { openStorage, type Storage } from './storage/orm.ts';

/** What a test may replace. */
export interface AppOverrides {
  readonly clock?: Clock;
  readonly onQuery?: (sql: string) => void;
}

export interface App {
  readonly config: Config;
  readonly storage: Storage;
  readonly services: Services;
  readonly yoga: Yoga;
  readonly server: Server;
  /** Closes everything, in the reverse order of opening. */
  close(): Promise<void>;
}

/** The composition root: what is made of what. Nothing listens yet. */
export async function createApp(config: Config, log: Logger, overrides: AppOverrides = {}): Promise<App> {
  const clock = overrides.clock ?? systemClock;
  void clock;
  const storage = await openStorage({
    url: config.databaseUrl,
    log,
    ...(overrides.onQuery ? { onQuery: overrides.onQuery } : {}),
  });
  const links = new Links(createOrigin(config.publicUrl, config.host, () => server));
  const services: Services = { health: new Health(storage), links };
  const yoga = createGraphql({ services, log, ...config });
  const server = createHttpServer([{ path: GRAPHQL_PATH, handle: yoga }]);
  return {
    config,
    storage,
    services,
    yoga,
    server,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await yoga.dispose();
      await storage.close();
    },
  };
}
