import { Agent } from 'node:http';
import { join } from 'node:path';
import { makeFile } from '../demo/file.ts';
import type { ServerProcess } from '../demo/process.ts';
import type { Bench, BenchContext, BenchResult } from './bench.ts';
import { nginxMissing, startNginx } from './controls/nginx.ts';
import { compare, interleave, type Measure, type Sample, timed } from './measure.ts';
import { startOurs } from './processes.ts';
import { RawConnection } from './raw-http.ts';
import { MIB, sendFile } from './tus-client.ts';

const WHOLE: readonly Measure[] = [
  { key: 'rate', title: 'whole file, throughput', unit: 'MB/s' },
  { key: 'cpuMs', title: 'whole file, CPU of the server for each GB', unit: 'ms' },
];
const RANGED: readonly Measure[] = [
  { key: 'rate', title: 'ranges of 1 MiB, 8 at a time, throughput', unit: 'MB/s' },
  { key: 'cpuMs', title: 'ranges of 1 MiB, CPU of the server for each GB', unit: 'ms' },
];
const RANGE_BYTES = MIB;
const CONNECTIONS = 8;

/** Downloads by ticket, against nginx. */
export const downloads: Bench = {
  name: 'downloads',
  title: 'Downloads',
  about:
    'A file out of the built-in drive by a ticket, whole over one connection and in ranges of 1 MiB over eight, against nginx (one process, sendfile) giving out a file of the same size. Both files are in the page cache. nginx hands the bytes from the kernel to the kernel; a Node process reads and writes them.',
  control: 'nginx',
  run: runDownloads,
};

async function runDownloads(context: BenchContext): Promise<BenchResult | { readonly skipped: string }> {
  if (nginxMissing) return { skipped: nginxMissing };
  const { quick, signal, folder } = context;
  const fileBytes = (quick ? 64 : 1024) * MIB;
  await using stack = new AsyncDisposableStack();
  const ours = await startOurs(context);
  stack.defer(() => ours.stop());
  await makeFile(join(folder, 'file.bin'), fileBytes, signal);
  const nginx = await startNginx(folder, folder, signal);
  stack.defer(() => nginx.stop());

  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { entryId } = await sendFile(ours, 'file.bin', fileBytes, agent, signal);
  agent.destroy();
  const { ticket } = await ours.api.mutate<{ ticket: { url: string } }>(
    'createDownloadTicket',
    { file: { id: entryId } },
    'ticket { url }',
    signal,
  );

  const sides = [new Source(ours, new URL(ticket.url).pathname), new Source(nginx, '/file.bin')] as const;
  const rounds = quick ? 1 : 5;
  const whole = await interleave(
    rounds,
    () => sides[0].whole(fileBytes),
    () => sides[1].whole(fileBytes),
  );
  const ranged = await interleave(
    rounds,
    () => sides[0].ranges(fileBytes),
    () => sides[1].ranges(fileBytes),
  );
  return {
    comparisons: [...compare(WHOLE, whole), ...compare(RANGED, ranged)],
    notes: [`${fileBytes / MIB} MiB in each round.`],
  };
}

/** A file at one of the servers. */
class Source {
  readonly #server: ServerProcess;
  readonly #path: string;

  constructor(server: ServerProcess, path: string) {
    this.#server = server;
    this.#path = path;
  }

  async whole(fileBytes: number): Promise<Sample> {
    const connection = await RawConnection.open(this.#server.url);
    try {
      return await this.#sample(fileBytes, async () => {
        const came = await connection.get(this.#path);
        if (came !== fileBytes) throw new Error(`${came} bytes came instead of ${fileBytes}.`);
      });
    } finally {
      connection.close();
    }
  }

  async ranges(fileBytes: number): Promise<Sample> {
    const connections = await Promise.all(
      Array.from({ length: CONNECTIONS }, () => RawConnection.open(this.#server.url)),
    );
    let next = 0;
    const work = async (connection: RawConnection): Promise<void> => {
      while (next < fileBytes) {
        const start = next;
        next += RANGE_BYTES;
        const came = await connection.get(this.#path, `${start}-${start + RANGE_BYTES - 1}`);
        if (came !== RANGE_BYTES) throw new Error(`${came} bytes came instead of ${RANGE_BYTES}.`);
      }
    };
    try {
      return await this.#sample(fileBytes, async () => void (await Promise.all(connections.map(work))));
    } finally {
      for (const connection of connections) connection.close();
    }
  }

  async #sample(bytes: number, work: () => Promise<void>): Promise<Sample> {
    const { ms, cpuMs } = await timed(this.#server.pid, work);
    return { rate: bytes / 1e3 / ms, cpuMs: cpuMs / (bytes / 1e9) };
  }
}
