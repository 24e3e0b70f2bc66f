import { Buffer } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { type ErrorCode, requestError } from '../graph/errors.ts';
import { BODY_BYTES_MAX, SIGNED_BODY_BYTES_MAX, UPLOAD_FILE_BYTES_MAX } from '../graph/limits.ts';

/** Room for the operation and the part headers around a file in a multipart body. */
const MULTIPART_OVERHEAD_BYTES = 256 * 1024;

/**
 * The request with its body held to the limit, or null when it was too large and has been answered. Where the length is
 * stated, Node's parser holds the client to it, and nothing is counted: a stream around every body halves throughput.
 * Only a chunked body is read here, and given again from memory.
 */
export async function admitBody(request: IncomingMessage, response: ServerResponse): Promise<IncomingMessage | null> {
  const most = bytesMaxOf(request);
  const stated = request.headers['content-length'];
  if (stated !== undefined) return Number(stated) <= most ? request : refuse(request, response, most);
  if (request.headers['transfer-encoding'] === undefined) return request;

  const body = await readUpTo(request, most);
  if (body === null) return refuse(request, response, most);
  const { method, url, headers, socket } = request;
  const again = Readable.from([body], { objectMode: false });
  return Object.assign(again, { method, url, headers, socket }) as unknown as IncomingMessage;
}

/** Null when there is more. */
async function readUpTo(request: IncomingMessage, most: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > most) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function bytesMaxOf({ headers }: IncomingMessage): number {
  if (headers['content-type']?.toLowerCase().startsWith('multipart/form-data')) {
    return UPLOAD_FILE_BYTES_MAX + MULTIPART_OVERHEAD_BYTES;
  }
  return headers.authorization === undefined ? BODY_BYTES_MAX : SIGNED_BODY_BYTES_MAX;
}

function refuse(request: IncomingMessage, response: ServerResponse, most: number): null {
  sendError(response, 413, 'TOO_LARGE', `The body has more than ${most} bytes. Large files go by \`startUpload\`.`);
  // Thrown away as it comes, as long as a body may take: a client that is cut off while it sends never reads the answer.
  request.resume();
  return null;
}

/** Answers with a coded error in the shape of a GraphQL response. */
export function sendError(response: ServerResponse, status: number, code: ErrorCode, message: string): void {
  const { extensions } = requestError(message, status, code);
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify({ errors: [{ message, extensions: { code: extensions.code } }] }));
}
