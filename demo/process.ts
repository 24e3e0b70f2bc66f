import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** A server in a process of its own. */
export interface ServerProcess {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly pid: number;
  /** How long it took from the start to the first healthy answer, in milliseconds. */
  readonly readyMs: number;
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Asks it to end, and cuts it off when it does not. */
  stop(): Promise<void>;
}

export interface ProcessOptions {
  readonly name: string;
  readonly command: readonly [program: string, ...args: string[]];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly port: number;
  /** Answers 200 when the process can work, as `/health/ready`. */
  readonly readyPath: string;
  readonly signal: AbortSignal;
}

const READY_MS_MAX = 30_000;
const POLL_MS = 50;
/** Longer than the server's own limit for ending. */
const STOP_MS_MAX = 20_000;
/** What is shown of the output of a process that did not start, in characters. */
const OUTPUT_TAIL = 2_000;

/** Starts a process and waits until it answers. */
export async function startProcess(options: ProcessOptions): Promise<ServerProcess> {
  const startedMs = performance.now();
  const { command, cwd, env } = options;
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const url = `http://127.0.0.1:${options.port}`;
  try {
    await untilReady(child, url, options);
  } catch (error) {
    await stop(child, ended);
    throw error;
  }
  return { url, pid: child.pid ?? 0, readyMs: performance.now() - startedMs, ended, stop: () => stop(child, ended) };
}

/**
 * A port that was free just now, for a server that starts later or again and again. None that the system hands out by
 * itself (from 32768 on): until the server is there, that could become somebody else's, or the near end of a connection.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

async function untilReady(
  child: ChildProcess,
  url: string,
  { name, readyPath, signal }: ProcessOptions,
): Promise<void> {
  const output = tailOf(child);
  let fault: Error | null = null;
  child.once('error', (error) => {
    fault = error;
  });
  const deadlineMs = performance.now() + READY_MS_MAX;
  while (performance.now() < deadlineMs && !fault && !hasEnded(child)) {
    signal.throwIfAborted();
    const answer = await fetch(`${url}${readyPath}`).catch(() => null); // Nobody listens yet.
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`${name} did not become ready.\n${output()}`, fault ? { cause: fault } : undefined);
}

function tailOf(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-OUTPUT_TAIL);
    });
  }
  return () => text;
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (hasEnded(child)) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await ended;
  clearTimeout(timer);
}

const hasEnded = ({ pid, exitCode, signalCode }: ChildProcess): boolean =>
  pid === undefined || exitCode !== null || signalCode !== null;
