import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** Between two kills: from the very start of the server to well into its work, in milliseconds. */
const KILL_AFTER_MS = { min: 20, max: 900 };
/** How long a client waits before it asks a server again that does not answer, in milliseconds. */
export const RETRY_MS = 50;

/** `node src/main.ts` on a port and a folder that outlive it. */
export class KilledServer {
  readonly url: string;
  kills = 0;
  /** The end of what it wrote. */
  output = '';
  readonly #environment: NodeJS.ProcessEnv;
  #process: ChildProcess | null = null;

  /** @param settings Beside those of the folder, the database and the port. */
  constructor(dataDir: string, databaseUrl: string, port: number, settings: Readonly<Record<string, string>> = {}) {
    this.url = `http://127.0.0.1:${port}`;
    const { PATH } = process.env;
    this.#environment = {
      PATH,
      NODE_ENV: 'test',
      DATA_DIR: dataDir,
      DATABASE_URL: databaseUrl,
      PORT: String(port),
      LOG_LEVEL: 'warn',
      DOWNLOAD_LIMIT: '100000',
      ...settings,
    };
  }

  async start(): Promise<void> {
    const main = new URL('../../src/main.ts', import.meta.url).pathname;
    const started = spawn(process.execPath, [main], { env: this.#environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = started;
    for (const stream of [started.stdout, started.stderr]) stream.on('data', (text) => this.#keep(String(text)));
    const health = `${this.url}/health/ready`;
    while (
      !(await fetch(health)
        .then(({ ok }) => ok)
        .catch(() => false))
    ) {
      if (started.exitCode !== null) throw new Error(`the server does not start:\n${this.output}`);
      await delay(RETRY_MS);
    }
  }

  kill(): void {
    if (!this.#process || this.#process.exitCode !== null) return;
    this.#process.kill('SIGKILL');
    this.kills += 1;
  }

  /** The orderly way. */
  async stop(): Promise<void> {
    if (!this.#process) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
    this.#process = null;
  }

  #keep(text: string): void {
    this.output = (this.output + text).slice(-5_000);
  }
}

/** Kills it at random moments of its work, and starts it again each time. */
export async function killOften(
  server: KilledServer,
  random: () => number,
  kills: number,
  isDone: () => boolean,
): Promise<void> {
  for (let kill = 0; kill < kills && !isDone(); kill += 1) {
    await delay(KILL_AFTER_MS.min + random() * (KILL_AFTER_MS.max - KILL_AFTER_MS.min));
    if (isDone()) return;
    server.kill();
    await server.start();
  }
}

/** A moment of a run, in steps and not in time: so that it is the same moment of the same run. */
export interface PlannedKill {
  /** So many jobs have ended. */
  readonly afterJobs: number;
  /** So many requests came since then, to the server or from it. */
  readonly afterSteps: number;
  /** Before the next one is done, or when it was done and its answer is on the way. */
  readonly moment: 'before' | 'after';
}

/** Strikes a server at the moments of a plan. */
export class Killer {
  /** What it struck, in order. */
  readonly struck: string[] = [];
  /** Rejects when the server is not there again after a blow. */
  readonly failed: Promise<never>;
  readonly #blow: () => Promise<void>;
  readonly #kills: readonly PlannedKill[];
  readonly #ended: () => number;
  readonly #fail: (error: unknown) => void;
  #next = 0;
  #steps = 0;
  #starting: Promise<void> | null = null;
  #isStriking = false;

  /**
   * @param blow Kills the server, or hurts it; resolves when it is there again.
   * @param ended How many jobs have ended by now.
   */
  constructor(blow: () => Promise<void>, kills: readonly PlannedKill[], ended: () => number) {
    this.#blow = blow;
    this.#kills = kills;
    this.#ended = ended;
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    this.#fail = reject;
    promise.catch(() => {}); // Whoever waits for it hears of it.
  }

  /** To be told of each step; whether it is the one to {@link kill} at. */
  strike(step: string): PlannedKill['moment'] | null {
    const kill = this.#kills[this.#next];
    if (!kill || this.#isStriking || this.#ended() < kill.afterJobs) return null;
    this.#steps += 1;
    if (this.#steps <= kill.afterSteps) return null;
    this.#next += 1;
    this.#steps = 0;
    this.#isStriking = true;
    this.struck.push(`after ${kill.afterJobs} jobs, ${kill.moment} ${step}`);
    return kill.moment;
  }

  kill(): void {
    this.#starting = this.#blow().then(() => {
      this.#isStriking = false;
    });
    this.#starting.catch(this.#fail);
  }

  /** Resolves when the server is there. */
  async settled(): Promise<void> {
    await this.#starting;
  }
}

/** A small generator of its own (mulberry32), so that a seed repeats a run. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
