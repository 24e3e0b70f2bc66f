import { createHash } from 'node:crypto';
import { ProgressBar } from './progress.ts';

export interface Downloaded {
  /** Of the bytes that came, in lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly ms: number;
}

/** Downloads to nowhere but a hash. @throws Error when the answer is none of a file. */
export async function download(label: string, url: string, signal: AbortSignal): Promise<Downloaded> {
  const startedMs = performance.now();
  const response = await fetch(url, { signal });
  if (!response.ok || !response.body) throw new Error(`${label}: ${response.status} ${await response.text()}`);
  const hash = createHash('sha256');
  const bar = new ProgressBar(label, Number(response.headers.get('content-length')));
  let sizeBytes = 0;
  try {
    for await (const chunk of response.body) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      bar.show(sizeBytes);
    }
  } finally {
    bar.clear();
  }
  return { sha256: hash.digest('hex'), sizeBytes, ms: performance.now() - startedMs };
}
