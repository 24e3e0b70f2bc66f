import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type App, type AppOverrides, createApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/lib/log.ts';

export interface GraphqlAnswer<Data = Record<string, unknown>> {
  readonly status: number;
  readonly data?: Data | null;
  readonly errors?: readonly { message: string; path?: unknown; extensions?: Record<string, unknown> }[];
}

export interface TestApp {
  readonly app: App;
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly dataDir: string;
  /** All log lines so far, to look for what must not be there. */
  readonly logLines: readonly string[];
  /** One operation by HTTP POST, as a client sends it. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  graphql<Data = any>(
    document: string,
    variables?: object,
    token?: string | null,
    headers?: Readonly<Record<string, string>>,
  ): Promise<GraphqlAnswer<Data>>;
  close(): Promise<void>;
}

export interface TestAppOptions extends AppOverrides {
  /** Environment settings on top of a temporary DATA_DIR. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Keeps this folder instead of a temporary one, to restart a server on it. */
  readonly dataDir?: string;
}

/** The least that argon2 takes: tests sign in often. */
const CHEAP_COST = { memoryCost: 64, timeCost: 1, parallelism: 1 };

/** The whole server on a free port of loopback and a folder of its own. */
export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'panql-test-')));
  const config = loadConfig({
    NODE_ENV: 'test',
    PORT: '0',
    DATA_DIR: dataDir,
    LOG_LEVEL: 'debug',
    LIST_CACHE_SECONDS: '0', // Tests change what is at a provider, and look at once.
    ...options.settings,
  });
  const logLines: string[] = [];
  const log = createLog({ level: config.logLevel, stream: { write: (line) => void logLines.push(line) } });
  const app = await createApp(config, log, { passwordCost: CHEAP_COST, ...options });
  await new Promise<void>((resolve) => app.server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  return {
    app,
    url,
    dataDir,
    logLines,
    graphql: async (query, variables, token, headers) => {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...headers,
        },
        body: JSON.stringify({ query, variables }),
      });
      return { status: response.status, ...((await response.json()) as object) };
    },
    close: async () => {
      await app.close();
      if (!options.dataDir) await rm(dataDir, { recursive: true, force: true });
    },
  };
}
