import { createHash, randomBytes } from 'node:crypto';
import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench, BenchContext, BenchResult } from './bench.ts';
import { compare, type Measure, residentBytes } from './measure.ts';
import { type OurServer, startControl, startOurs } from './processes.ts';
import { CHUNK_BYTES, MIB, sendFile, sentChunks } from './tus-client.ts';

/** What the server may take above what it takes when idle. */
const LIMIT_MIB = 150;
/** How often its memory is looked at. */
const LOOK_MS = 50;
/** As Baidu takes them. */
const SLICE_BYTES = 4 * MIB;

const bar = { atMost: 1 };
const MEASURES: readonly Measure[] = [
  { key: 'upload', title: 'a file sent to Baidu, at most above idle', unit: 'MiB', bar },
  { key: 'download', title: 'a file fetched from Baidu, at most above idle', unit: 'MiB', bar },
];

/** What a large file takes of memory on its way to a cloud and back. */
export const memory: Bench = {
  name: 'memory',
  title: 'Memory',
  about:
    'A file by tus into an imitation of Baidu Netdisk (a process of its own), and another out of it by a ticket: the most that the server takes above what it took before, when it had started, linked the account and listed a folder. The bytes are compared: each slice by its MD5 there, the download by the MD5 of all.',
  control: 'the limit',
  run: runMemory,
};

async function runMemory(context: BenchContext): Promise<BenchResult> {
  const fileBytes = (context.quick ? 64 : 1024) * MIB;
  await using stack = new AsyncDisposableStack();
  const cloud = await startControl('baidu', context, [], { DOWNLOAD_BYTES: String(fileBytes) });
  stack.defer(() => cloud.stop());
  const ask = async <Answer>(path: string): Promise<Answer> =>
    (await (await fetch(`${cloud.url}${path}`, { signal: context.signal })).json()) as Answer;
  const { settings, token } = await ask<{ settings: Record<string, string>; token: string }>('/settings');
  const ours = await startOurs(context, settings);
  stack.defer(() => ours.stop());
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  stack.defer(() => agent.destroy());

  const { rootId, madeId } = await linked(ours, token, context.signal);
  const chunk = randomBytes(CHUNK_BYTES);
  const idle = await residentBytes(ours.pid);
  const upload = await peakDuring(ours, () =>
    sendFile({ ...ours, rootId }, 'sent.bin', fileBytes, agent, context.signal, chunk),
  );
  compareSent(await ask('/digests?name=sent.bin'), fileBytes, chunk);
  const download = await peakDuring(ours, async () => {
    const made = await ask<{ md5: string }>('/made');
    const got = await fetchFile(ours, madeId, agent, context.signal);
    if (got.md5 !== made.md5 || got.bytes !== fileBytes) throw new Error('The download is another file.');
  });
  const above = (peak: number): number => (peak - idle) / MIB;
  return {
    comparisons: compare(MEASURES, {
      ours: [{ upload: above(upload), download: above(download) }],
      control: [{ upload: LIMIT_MIB, download: LIMIT_MIB }],
    }),
    notes: [`${fileBytes / MIB} MiB each; idle, the server takes ${Math.round(idle / MIB)} MiB.`],
  };
}

async function linked({ api }: OurServer, accessToken: string, signal: AbortSignal) {
  const { account } = await api.mutate<{
    account: { root: { id: string; children: { nodes: { id: string }[] } } };
  }>(
    'upsertAccountTokens',
    { provider: 'BAIDU', accessToken },
    'account { root { id children { nodes { id } } } }',
    signal,
  );
  const [made] = account.root.children.nodes;
  if (!made) throw new Error('The imitation has no file.');
  return { rootId: account.root.id, madeId: made.id };
}

/** The most memory that the server took while `work` went on, in bytes. */
async function peakDuring({ pid }: OurServer, work: () => Promise<unknown>): Promise<number> {
  const ended = new AbortController();
  let peak = 0;
  const watching = (async () => {
    while (!ended.signal.aborted) {
      peak = Math.max(peak, await residentBytes(pid));
      await delay(LOOK_MS, undefined, { signal: ended.signal }).catch(() => {});
    }
  })();
  try {
    await work();
  } finally {
    ended.abort();
    await watching;
  }
  return peak;
}

/** What the imitation was sent are the chunks of {@link sendFile}, cut into slices. */
function compareSent(
  { size, blockMd5s }: { readonly size: number; readonly blockMd5s: readonly string[] },
  fileBytes: number,
  chunk: Buffer,
): void {
  const expected: string[] = [];
  for (const sent of sentChunks(fileBytes, chunk)) {
    for (let at = 0; at < sent.length; at += SLICE_BYTES) {
      expected.push(
        createHash('md5')
          .update(sent.subarray(at, at + SLICE_BYTES))
          .digest('hex'),
      );
    }
  }
  if (CHUNK_BYTES % SLICE_BYTES !== 0 || size !== fileBytes || blockMd5s.join() !== expected.join()) {
    throw new Error('The upload is another file.');
  }
}

async function fetchFile(
  { api }: OurServer,
  id: string,
  agent: Agent,
  signal: AbortSignal,
): Promise<{ readonly md5: string; readonly bytes: number }> {
  const { ticket } = await api.mutate<{ ticket: { url: string } }>(
    'createDownloadTicket',
    { file: { id } },
    'ticket { url }',
    signal,
  );
  const hash = createHash('md5');
  let bytes = 0;
  await new Promise<void>((resolve, reject) => {
    get(ticket.url, { agent, signal }, (response) => {
      response.on('data', (chunk: Buffer) => {
        hash.update(chunk);
        bytes += chunk.length;
      });
      response.once('end', resolve).once('error', reject);
    }).once('error', reject);
  });
  return { md5: hash.digest('hex'), bytes };
}
