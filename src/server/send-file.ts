import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { addAbortSignal, type Readable } from 'node:stream';
import { recycle } from '../lib/recycling.ts';
import type { Download } from '../services/download.ts';
import { answerFile } from './file-answer.ts';

/** A client that takes no byte for so long has gone: its file must not stay open. Players that pause ask again by range. */
const STALLED_MS = 10 * 60_000;

/**
 * Answers with a file, or with the part of it that is asked for; `gone` is {@link goneSignal} of the response.
 *
 * Resolves when the answer is complete or the client has gone, which also ends the reading. When bytes fail or fall short,
 * the connection is cut without the end of the answer, so that no client takes a part for the whole, and it rejects. It
 * also rejects when the file cannot be opened: then nothing was sent yet (`response.headersSent`).
 */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: Download,
  gone: AbortSignal,
): Promise<void> {
  const wantsSize = request.method === 'HEAD' || request.headers.range !== undefined;
  const sized = file.measured && file.sizeBytes === null && wantsSize ? await file.measured(gone) : file;
  const { status, headers, body } = answerFile(request.method, request.headers, sized);
  if (!body) {
    response.writeHead(status, headers).end();
    return;
  }

  const bytes = await file.read(body.span, gone);
  await sendBytes(response, { status, headers, bytes, lengthBytes: body.lengthBytes }, gone);
}

export interface BytesAnswer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly bytes: Readable;
  /** Null: not known. */
  readonly lengthBytes: number | null;
}

/** Answers with what a stream gives; as {@link sendFile} does. */
export async function sendBytes(
  response: ServerResponse,
  { status, headers, bytes, lengthBytes }: BytesAnswer,
  gone: AbortSignal,
): Promise<void> {
  bytes.on('error', () => {}); // The loop that reads them tells it; a stream that is not read must not end the process.
  if (gone.aborted) {
    bytes.destroy();
    return;
  }
  response.writeHead(status, headers);
  response.setTimeout(STALLED_MS, () => response.destroy());
  await stream(bytes, response, lengthBytes, gone);
}

/** Aborts when the client goes before the answer is complete. */
export function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const leave = (): void => {
    if (!response.writableFinished) controller.abort();
  };
  if (response.destroyed) leave();
  else response.once('close', leave);
  return controller.signal;
}

/** Sends one chunk after the other, each handed to the network before the next: so its buffer can be filled again. */
async function stream(
  bytes: Readable,
  response: ServerResponse,
  lengthBytes: number | null,
  gone: AbortSignal,
): Promise<void> {
  let leftBytes = lengthBytes ?? Number.POSITIVE_INFINITY;
  let last: Buffer | undefined;
  try {
    for await (const chunk of addAbortSignal(gone, bytes) as AsyncIterable<Buffer>) {
      leftBytes -= chunk.length;
      if (leftBytes < 0) throw new Error(`More than the promised ${lengthBytes} bytes came.`);
      if (leftBytes === 0) {
        last ??= chunk; // Held back until nothing comes after it.
        continue;
      }
      if (!(await taken(response, chunk))) return;
      recycle(bytes, chunk);
    }
    if (lengthBytes !== null && leftBytes > 0) {
      throw new Error(`Only ${lengthBytes - leftBytes} of the promised ${lengthBytes} bytes came.`);
    }
    response.end(last);
  } catch (error) {
    response.destroy();
    if (!gone.aborted) throw error;
  }
}

/** Resolves when the network has the chunk; false: the client has gone. */
const taken = (response: ServerResponse, chunk: Buffer): Promise<boolean> =>
  new Promise((resolve) => {
    const leave = (): void => resolve(false);
    response.once('close', leave);
    response.write(chunk, (error) => {
      response.off('close', leave);
      resolve(!error);
    });
  });
