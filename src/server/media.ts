import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { create as contentDisposition } from 'content-disposition';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { MEDIA_PATH, type MediaAnswer, type Playlists } from '../services/playlists.ts';
import { allows, FILE_CORS, tokenOf } from './content.ts';
import { contentTypeOf, SAFETY_HEADERS } from './file-answer.ts';
import type { Route } from './http.ts';
import { answerBytes } from './refusal.ts';
import { sendBytes } from './send-file.ts';

/** The type by which players know a playlist (RFC 8216 §4). */
const PLAYLIST_TYPE = 'application/vnd.apple.mpegurl';

const RANGE = /^bytes=(\d{1,15})-(\d{0,15})$/;

export interface MediaRouteOptions {
  readonly playlists: Playlists;
  readonly clock: Clock;
  readonly log: Logger;
}

/** `GET /media/:address`: a playlist, something that one names, or a download of a medium. */
export const createMediaRoute = (options: MediaRouteOptions): Route => ({
  path: MEDIA_PATH,
  cors: FILE_CORS,
  handle: (request, response) =>
    answerBytes(request, response, options, async (gone) => {
      if (!allows(['GET', 'HEAD'], request, response, options.clock)) return null;
      const range = request.method === 'GET' ? rangeOf(request.headers.range) : null;
      const answer = await options.playlists.read(tokenOf(request, MEDIA_PATH), range, { signal: gone });
      await send(request.method, response, answer, gone);
      return null;
    }),
});

async function send(
  method: string | undefined,
  response: ServerResponse,
  answer: MediaAnswer,
  gone: AbortSignal,
): Promise<void> {
  if (answer.kind === 'playlist') {
    const body = Buffer.from(answer.text);
    const headers = { ...SAFETY_HEADERS, 'content-type': PLAYLIST_TYPE, 'content-length': body.length };
    response.writeHead(200, headers).end(method === 'HEAD' ? undefined : body);
    return;
  }
  const { bytes, sizeBytes, mimeType, range, fileName } = answer;
  const headers: OutgoingHttpHeaders = {
    ...SAFETY_HEADERS,
    'content-type': contentTypeOf(mimeType),
    ...(fileName === null ? {} : { 'content-disposition': contentDisposition(fileName, { type: 'attachment' }) }),
    ...(sizeBytes === null ? {} : { 'content-length': sizeBytes }),
  };
  if (method === 'HEAD') {
    bytes.on('error', () => {}).destroy();
    response.writeHead(200, headers).end();
    return;
  }
  const last = range && sizeBytes !== null ? range.start + sizeBytes - 1 : null;
  const part = range && last !== null ? { 'content-range': `bytes ${range.start}-${last}/*` } : null;
  const status = part ? 206 : 200;
  await sendBytes(response, { status, headers: { ...headers, ...part }, bytes, lengthBytes: sizeBytes }, gone);
}

/** One part, of which the beginning is named; anything else is answered with the whole, as RFC 9110 §14.2 allows. */
function rangeOf(header: string | undefined) {
  const [, start, end = ''] = RANGE.exec(header ?? '') ?? [];
  if (start === undefined || (end !== '' && Number(end) < Number(start))) return null;
  return { start: Number(start), end: end === '' ? null : Number(end) };
}
