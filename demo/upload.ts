import { createReadStream } from 'node:fs';
import { Upload } from 'tus-js-client';
import type { Api } from './api.ts';
import type { LocalFile } from './file.ts';
import { ProgressBar } from './progress.ts';
import { watchTransfer } from './watch.ts';

export interface Uploaded {
  readonly entryId: string;
  /** How the bytes came into the drive: `SLICED`, `INSTANT`, … */
  readonly route: string;
  /** Requests that carried bytes; 0 when the drive had them already. */
  readonly chunks: number;
  readonly events: number;
  readonly ms: number;
}

interface Started {
  readonly transfer: { readonly id: string };
  /** Null: the drive has the bytes already. */
  readonly uploadUrl: string | null;
  readonly chunkSize: number | null;
}

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
  const watched = await watchTransfer(api, started.transfer.id, bar, AbortSignal.any([signal, failed.signal]));
  await sending;
  return {
    entryId: watched.entryId,
    route: watched.route,
    events: watched.events,
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
