import { randomBytes } from 'node:crypto';
import { type Agent, request } from 'node:http';
import type { OurServer } from './processes.ts';

export const MIB = 1024 * 1024;
export const CHUNK_BYTES = 8 * MIB;

export interface SentFile {
  readonly entryId: string;
  /** When the last byte was answered, in milliseconds from the start; the drive has the file a little later. */
  readonly answeredMs: number;
}

/** Puts a file of random bytes into the drive. */
export async function sendFile(
  { api, rootId }: Pick<OurServer, 'api' | 'rootId'>,
  name: string,
  fileBytes: number,
  agent: Agent,
  signal: AbortSignal,
  chunk = randomBytes(CHUNK_BYTES),
): Promise<SentFile> {
  const { transfer, uploadUrl } = await api.mutate<{ transfer: { id: string }; uploadUrl: string }>(
    'startUpload',
    { parent: { id: rootId }, name, size: fileBytes },
    'transfer { id } uploadUrl',
    signal,
  );
  const answeredMs = await sendChunks(uploadUrl, fileBytes, agent, signal, chunk);
  return { answeredMs, entryId: await untilSucceeded(api, transfer.id, signal) };
}

/** Sends bytes that differ from any sent before; gives how long it took, in milliseconds. */
export async function sendChunks(
  url: string,
  fileBytes: number,
  agent: Agent,
  signal: AbortSignal,
  chunk = randomBytes(CHUNK_BYTES),
): Promise<number> {
  const startedMs = performance.now();
  let offset = 0;
  for (const sent of sentChunks(fileBytes, chunk)) {
    await patch(url, offset, sent, agent, signal);
    offset += sent.length;
  }
  return performance.now() - startedMs;
}

/** The chunks of a file, one after the other in the same memory: none like another. */
export function* sentChunks(fileBytes: number, chunk: Buffer): Generator<Buffer> {
  for (let offset = 0; offset < fileBytes; offset += CHUNK_BYTES) {
    chunk.writeDoubleLE(offset, 0);
    yield chunk.subarray(0, fileBytes - offset);
  }
}

/** By `node:http`: `fetch` would copy the body through streams, and measure itself. */
function patch(url: string, offset: number, body: Buffer, agent: Agent, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = {
      'Tus-Resumable': '1.0.0',
      'Upload-Offset': offset,
      'Content-Type': 'application/offset+octet-stream',
      'Content-Length': body.length,
    };
    const sending = request(url, { method: 'PATCH', agent, headers, signal }, (response) => {
      response.resume().once('end', () => {
        if (response.statusCode === 204) resolve();
        else reject(new Error(`PATCH at ${offset} was answered ${response.statusCode}`));
      });
    });
    sending.once('error', reject).end(body);
  });
}

interface TransferView {
  readonly state: string;
  readonly entry: { readonly id: string } | null;
}

async function untilSucceeded(api: OurServer['api'], id: string, signal: AbortSignal): Promise<string> {
  const updates = api.subscribe<{ transferUpdated: TransferView }>(
    'subscription ($id: ID!) { transferUpdated(id: $id) { state entry { id } } }',
    { id },
    signal,
  );
  let last: TransferView | null = null;
  for await (const { transferUpdated } of updates) last = transferUpdated;
  if (last?.state !== 'SUCCEEDED' || !last.entry) throw new Error(`The transfer ended ${last?.state ?? 'unseen'}.`);
  return last.entry.id;
}
