import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { CONTENT_PATH, type Downloads } from '../services/downloads.ts';
import type { CorsRules } from './cors.ts';
import type { Route } from './http.ts';
import { answerBytes, refuse } from './refusal.ts';
import { sendFile } from './send-file.ts';

/** What a page of another origin may do with the bytes of files. */
export const FILE_CORS: CorsRules = {
  methods: ['GET', 'HEAD'],
  requestHeaders: ['range', 'if-range', 'if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'],
  exposedHeaders: [
    'accept-ranges',
    'content-disposition',
    'content-length',
    'content-range',
    'etag',
    'last-modified',
    'retry-after',
  ],
};

export interface ContentOptions {
  readonly downloads: Downloads;
  readonly clock: Clock;
  readonly log: Logger;
}

/** `GET /content/:ticket`: the bytes of the file of a ticket, or where its provider has them. */
export const createContentRoute = (options: ContentOptions): Route => ({
  path: CONTENT_PATH,
  cors: FILE_CORS,
  handle: (request, response) =>
    answerBytes(request, response, options, async (gone) => {
      if (!allows(['GET', 'HEAD'], request, response, options.clock)) return null;
      const redeemed = await options.downloads.redeem(tokenOf(request, CONTENT_PATH), gone);
      if (redeemed.kind === 'file') await sendFile(request, response, redeemed.download, gone);
      else response.writeHead(302, { ...REDIRECT_HEADERS, location: redeemed.url }).end();
      return null;
    }),
});

/** The address is for this request alone, and the provider need not know where it was asked for. */
const REDIRECT_HEADERS = { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', 'content-length': 0 };

/** What stands behind the route's path, without a query. */
export const tokenOf = (request: IncomingMessage, path: string): string =>
  (request.url ?? '').split('?', 1)[0]?.slice(path.length) ?? '';

/** Whether the method is one of these; else it has been answered. */
export function allows(
  methods: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
  clock: Clock,
): boolean {
  if (methods.includes(request.method ?? '')) return true;
  const allow = methods.join(', ');
  response.setHeader('allow', allow);
  refuse(request, response, { status: 405, code: 'BAD_REQUEST', message: `Only ${allow} can be asked here.` }, clock);
  return false;
}
