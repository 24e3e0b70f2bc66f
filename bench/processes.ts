import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Api } from '../demo/api.ts';
import { freePort, type ServerProcess, startProcess } from '../demo/process.ts';
import { PROJECT, startServer, withoutSettings } from '../demo/server.ts';
import type { BenchContext } from './bench.ts';
import { SERVER_PINNED } from './pinning.ts';

export interface OurServer extends ServerProcess {
  readonly api: Api;
  readonly dataDir: string;
  /** The built-in drive of the one user, who is signed in and an administrator. */
  readonly rootId: string;
}

export interface ControlServer extends ServerProcess {
  /** Its own, empty at the start. */
  readonly dataDir: string;
}

const key = (): string => `bench:${randomBytes(32).toString('base64')}`;

/**
 * The server as it would run in production, with a user signed in. `BENCH_NODE_OPTIONS` adds to what Node is started
 * with, as `--cpu-prof`.
 */
export async function startOurs(
  { folder, signal }: BenchContext,
  settings: Readonly<Record<string, string>> = {},
  nodeOptions: readonly string[] = [],
): Promise<OurServer> {
  const dataDir = join(folder, 'panql');
  const server = await startServer({
    dataDir,
    wrapper: SERVER_PINNED,
    nodeOptions: [...nodeOptions, ...(process.env.BENCH_NODE_OPTIONS?.split(' ') ?? [])],
    settings: { NODE_ENV: 'production', JWT_KEYS: key(), VAULT_KEYS: key(), DOWNLOAD_LIMIT: '1000000', ...settings },
    signal,
  });
  const api = new Api(server.url);
  const { session, user } = await api.mutate<{
    session: { accessToken: string };
    user: { accounts: { nodes: { root: { id: string } }[] } };
  }>(
    'register',
    { username: 'bench', password: randomBytes(16).toString('hex') },
    'session { accessToken } user { accounts(first: 1) { nodes { root { id } } } }',
    signal,
  );
  api.token = session.accessToken;
  return { ...server, api, dataDir, rootId: user.accounts.nodes[0]?.root.id ?? '' };
}

/** A server of `controls/`, in a process of its own with the same means. */
export async function startControl(
  name: 'tus' | 'yoga' | 'broadcast' | 'baidu',
  { folder, signal }: BenchContext,
  nodeOptions: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<ControlServer> {
  const dataDir = join(folder, name);
  await mkdir(dataDir, { recursive: true });
  const port = await freePort();
  const [program = '', ...args] = [...SERVER_PINNED, process.execPath, ...nodeOptions, `bench/controls/${name}.ts`];
  const server = await startProcess({
    name: `The control ${name}`,
    command: [program, ...args],
    cwd: PROJECT,
    env: {
      ...withoutSettings(process.env),
      ...environment,
      NODE_ENV: 'production',
      PORT: String(port),
      DATA_DIR: dataDir,
    },
    port,
    readyPath: '/ready',
    signal,
  });
  return { ...server, dataDir };
}
