import { fileURLToPath } from 'node:url';
import { SETTING_NAMES } from '../src/config.ts';
import { freePort, type ServerProcess, startProcess } from './process.ts';

export interface ServerOptions {
  readonly dataDir: string;
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** A free one by default. */
  readonly port?: number;
  /** What stands before `src/main.ts`: options of Node. */
  readonly nodeOptions?: readonly string[];
  /** What runs Node: a command and its first arguments, as `taskset -c 0`. */
  readonly wrapper?: readonly string[];
  readonly signal: AbortSignal;
}

/** The project's folder. */
export const PROJECT = fileURLToPath(new URL('..', import.meta.url));

/**
 * As in package.json's `start` and the Dockerfile. Half of V8's own size: buffers come and go so fast that a larger room
 * for the young only holds more of the dead.
 */
const SERVER_FLAGS = ['--max-semi-space-size=16'];

/** Starts `node src/main.ts`, as a user would, and waits until it is ready. */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const { dataDir, settings, nodeOptions = [], wrapper = [], signal } = options;
  const port = options.port ?? (await freePort());
  const [program = '', ...args] = [...wrapper, process.execPath, ...SERVER_FLAGS, ...nodeOptions, 'src/main.ts'];
  return startProcess({
    name: 'The server',
    command: [program, ...args],
    cwd: PROJECT,
    env: {
      ...withoutSettings(process.env),
      LOG_LEVEL: 'warn',
      ...settings,
      HOST: '127.0.0.1',
      PORT: String(port),
      DATA_DIR: dataDir,
    },
    port,
    readyPath: '/health/ready',
    signal,
  });
}

/** The environment without settings of ours: a DATABASE_URL in your shell is not for this server. */
export const withoutSettings = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !SETTING_NAMES.includes(name)));
