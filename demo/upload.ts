import { createReadStream } from 'node:fs';
import { Upload } from 'tus-js-client';
import type { Api } from './api.ts';
import type { LocalFile } from './file.ts';
import { ProgressBar } from './progress.ts';

export interface Uploaded {
  readonly entryId: string;
  /** How the bytes came into the drive: `SLICED`, `INSTANT`, … */
  readonly route: string;
  /** Requests that carried bytes; 0 when the drive had them already. */
  readonly chunks: number;
  readonly events: number;
  readonly ms: number;
}

interface TransferView {
  readonly state: string;
  readonly phase: string | null;
  readonly route: string | null;
  readonly bytesDone: number;
  readonly entry: { readonly id: string } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

interface Started {
  readonly transfer: { readonly id: string };
  /** Null: the drive has the bytes already. */
  readonly uploadUrl: string | null;
  readonly chunkSize: number | null;
}

const TRANSFER_UPDATED = `subscription ($id: ID!) {
  transferUpdated(id: $id) {
    state phase route bytesDone
    entry { id }
    error { code message }
  }
}`;
/** So that a small file shows several steps, too; the server takes larger ones. */
const CHUNK_BYTES_MAX = 8 * 1024 * 1024;

export interface UploadOptions {
  readonly parentId: string;
  readonly name: string;
  /** Tells the drive what is coming: bytes that it has need not be sent. */
  readonly announceHash?: boolean;
  readonly signal: AbortSignal;
}

/** Uploads by tus, while the subscription tells how far the server is. Resolves when the file is in the drive. */
export async function upload(api: Api, file: LocalFile, options: UploadOptions): Promise<Uploaded> {
  const { parentId, name, announceHash = false, signal } = options;
  const startedMs = performance.now();
  const input = {
    parent: { id: parentId },
    name,
    size: file.sizeBytes,
    onConflict: 'RENAME',
    ...(announceHash ? { hashes: [{ algorithm: 'SHA256', value: file.sha256 }] } : {}),
  };
  const started = await api.mutate<Started>('startUpload', input, 'transfer { id } uploadUrl chunkSize', signal);
  const chunkBytes = Math.min(started.chunkSize ?? CHUNK_BYTES_MAX, CHUNK_BYTES_MAX);
  const { uploadUrl } = started;

  const failed = new AbortController();
  const sending = uploadUrl === null ? null : send(file, uploadUrl, chunkBytes, signal);
  sending?.catch((error: unknown) => failed.abort(error));
  // Nothing to watch when no byte is sent.
  const bar = sending === null ? null : new ProgressBar('upload', file.sizeBytes);
  const watched = await watch(api, started.transfer.id, bar, AbortSignal.any([signal, failed.signal]));
  await sending;
  return {
    ...watched,
    chunks: sending === null ? 0 : Math.ceil(file.sizeBytes / chunkBytes),
    ms: performance.now() - startedMs,
  };
}

function send(
  { path, sizeBytes }: LocalFile,
  uploadUrl: string,
  chunkSize: number,
  signal: AbortSignal,
): Promise<void> {
  // Opened again by the client for each chunk, so that a chunk can be sent twice: nothing is ever read from this one.
  const source = createReadStream(path);
  const done = new Promise<void>((resolve, reject) => {
    const sending = new Upload(source as unknown as Buffer, {
      uploadUrl,
      uploadSize: sizeBytes,
      chunkSize,
      storeFingerprintForResuming: false,
      onSuccess: () => resolve(),
      onError: reject,
    });
    signal.addEventListener('abort', () => {
      void sending.abort();
      reject(signal.reason);
    });
    sending.start();
  });
  return done.finally(() => source.destroy());
}

async function watch(
  api: Api,
  id: string,
  bar: ProgressBar | null,
  signal: AbortSignal,
): Promise<Pick<Uploaded, 'entryId' | 'route' | 'events'>> {
  let events = 0;
  let last: TransferView | null = null;
  const updates = api.subscribe<{ transferUpdated: TransferView }>(TRANSFER_UPDATED, { id }, signal);
  try {
    for await (const { transferUpdated } of updates) {
      events += 1;
      last = transferUpdated;
      bar?.show(last.bytesDone, last.phase ?? last.state);
    }
  } finally {
    bar?.clear();
  }
  signal.throwIfAborted();
  if (last?.state !== 'SUCCEEDED' || !last.entry) {
    const why = last?.error
      ? `${last.error.message} (${last.error.code})`
      : 'the subscription ended before the transfer';
    throw new Error(`The upload did not succeed: ${why}`);
  }
  return { entryId: last.entry.id, route: last.route ?? 'unknown', events };
}
