import type { IncomingMessage, ServerResponse } from 'node:http';
import { finished, type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
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
  const { status, headers, body } = answerFile(request.method, request.headers, file);
  if (!body) {
    response.writeHead(status, headers).end();
    return;
  }

  const bytes = await file.read(body.span, gone);
  if (gone.aborted) {
    bytes.destroy();
    return;
  }
  response.writeHead(status, headers);
  response.setTimeout(STALLED_MS, () => response.destroy());
  await stream(bytes, response, body.lengthBytes, gone);
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

async function stream(
  bytes: Readable,
  response: ServerResponse,
  lengthBytes: number | null,
  gone: AbortSignal,
): Promise<void> {
  let fault: Error | null = null;
  const counted = lengthBytes === null ? [] : [exactly(lengthBytes)];
  for (const source of [bytes, ...counted]) {
    finished(source, { writable: false }, (error) => {
      if (error && !gone.aborted) fault ??= error; // Later ones follow from the first, or from the client's leaving.
    });
  }
  try {
    await pipeline([bytes, ...counted, response]);
  } catch (error) {
    if (fault !== null || !gone.aborted) throw fault ?? error;
  }
}

/** Passes bytes on, and fails unless they are exactly so many. The last are held back until nothing comes after them. */
function exactly(lengthBytes: number): Transform {
  let passed = 0;
  let last: Buffer | null = null;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      passed += chunk.length;
      if (passed > lengthBytes) return done(new Error(`More than the promised ${lengthBytes} bytes came.`));
      if (passed < lengthBytes) return done(null, chunk);
      last ??= chunk; // An empty chunk may follow.
      done();
    },
    flush(done) {
      if (passed === lengthBytes) done(null, last);
      else done(new Error(`Only ${passed} of the promised ${lengthBytes} bytes came.`));
    },
  });
}
