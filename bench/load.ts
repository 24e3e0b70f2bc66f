import { execFile, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Load {
  readonly url: string;
  /** Of each request, a POST of JSON. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly seconds: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p99Ms: number;
}

/** Fewer than what would queue in the server; the anchors of the stack were measured so. */
const CONNECTIONS = 16;

const hasWrk = spawnSync('wrk', ['--version']).error === undefined;

export const loadedBy: string = hasWrk ? 'wrk, 1 thread' : 'a client of Node';

/** Asks as often as the server answers. @throws Error when an answer is no 200. */
export const load = (what: Load, folder: string, signal: AbortSignal): Promise<LoadResult> =>
  hasWrk ? loadByWrk(what, folder, signal) : loadByNode(what, signal);

async function loadByWrk(what: Load, folder: string, signal: AbortSignal): Promise<LoadResult> {
  const script = join(folder, 'post.lua');
  const headers = Object.entries(what.headers).map(([name, value]) => `wrk.headers["${name}"] = "${value}"`);
  await writeFile(script, ['wrk.method = "POST"', `wrk.body = ${JSON.stringify(what.body)}`, ...headers].join('\n'));
  const args = [
    '-t1',
    `-c${CONNECTIONS}`,
    `-d${what.seconds}s`,
    '--timeout',
    '30s',
    '--latency',
    '-s',
    script,
    what.url,
  ];
  const { stdout } = await promisify(execFile)('wrk', args, { signal });
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`Not every request was answered:\n${stdout}`);
  const [, latency, unit] = /^\s+99%\s+([\d.]+)(us|ms|s)$/m.exec(stdout) ?? [];
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1]),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p99Ms: Number(latency) * (unit === 'us' ? 0.001 : unit === 's' ? 1000 : 1),
  };
}

async function loadByNode({ url, body, headers, seconds }: Load, signal: AbortSignal): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const latencies: number[] = [];
  const startedMs = performance.now();
  const untilMs = startedMs + seconds * 1000;
  const work = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      const askedMs = performance.now();
      await post(url, body, headers, agent, signal);
      latencies.push(performance.now() - askedMs);
    }
  };
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, work));
  } finally {
    agent.destroy();
  }
  latencies.sort((left, right) => left - right);
  const perSecond = latencies.length / ((performance.now() - startedMs) / 1000);
  return { requests: latencies.length, perSecond, p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN };
}

const post = (url: string, body: string, headers: Load['headers'], agent: Agent, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const asking = request(
      url,
      { method: 'POST', agent, headers: { ...headers, 'Content-Length': Buffer.byteLength(body) }, signal },
      (response) => {
        response.resume().once('end', () => {
          if (response.statusCode === 200) resolve();
          else reject(new Error(`A request was answered ${response.statusCode}.`));
        });
      },
    );
    asking.once('error', reject).end(body);
  });
