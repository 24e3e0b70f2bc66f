import { Buffer } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { ErrorCode } from '../graph/errors.ts';
import type { Clock } from '../lib/clock.ts';
import { InvalidInputError, TooLargeError } from '../lib/errors.ts';
import { headerText } from '../lib/header-text.ts';
import type { Logger } from '../lib/log.ts';
import { type DirectLinks, LINK_PATH, LINK_REFUSALS, type LinkRefusal } from '../services/direct-links.ts';
import { allows, FILE_CORS, tokenOf } from './content.ts';
import { clientAddress } from './facts.ts';
import type { Route } from './http.ts';
import { answerBytes, type Refusal } from './refusal.ts';
import { sendFile } from './send-file.ts';

/** Carries the key of a link. Never the address: it would stand in histories and logs. */
const KEY_HEADER = 'x-link-key';
/** The form has one field; its key may be 128 characters of 4 bytes, each byte written as three. */
const FORM_BYTES_MAX = 4 * 1024;

const REFUSALS: Readonly<Record<LinkRefusal, { readonly status: number; readonly code: ErrorCode }>> = {
  unknown: { status: 404, code: 'NOT_FOUND' },
  expired: { status: 410, code: 'NOT_FOUND' },
  revoked: { status: 410, code: 'NOT_FOUND' },
  keyNeeded: { status: 401, code: 'UNAUTHENTICATED' },
  keyWrong: { status: 403, code: 'PERMISSION_DENIED' },
};

export interface DirectLinkOptions {
  readonly links: DirectLinks;
  readonly clock: Clock;
  readonly log: Logger;
  readonly trustProxy: boolean;
}

/** `GET /d/:token`: the file of a direct link. `POST` is the form that asks a person for the key. */
export const createDirectLinkRoute = (options: DirectLinkOptions): Route => ({
  path: LINK_PATH,
  cors: { ...FILE_CORS, requestHeaders: [...(FILE_CORS.requestHeaders ?? []), KEY_HEADER] },
  handle: (request, response) =>
    answerBytes(request, response, options, async (gone) => {
      const { links, clock, trustProxy } = options;
      if (!allows(['GET', 'HEAD', 'POST'], request, response, clock)) return null;
      const visitor = {
        key: request.method === 'POST' ? await formKey(request) : headerKey(request),
        address: clientAddress(request, trustProxy),
      };
      const opened = await links.open(tokenOf(request, LINK_PATH), visitor, gone);
      if ('refusal' in opened) return refusalOf(opened.refusal);
      await sendFile(request, response, opened.download, gone);
      return null;
    }),
});

const refusalOf = (refusal: LinkRefusal): Refusal => ({
  ...REFUSALS[refusal],
  message: LINK_REFUSALS[refusal],
  asksKey: refusal === 'keyNeeded' || refusal === 'keyWrong',
});

function headerKey({ headers }: IncomingMessage): string | null {
  const key = headers[KEY_HEADER]?.toString();
  return key === undefined ? null : headerText(key);
}

async function formKey(request: IncomingMessage): Promise<string | null> {
  if (!request.headers['content-type']?.toLowerCase().startsWith('application/x-www-form-urlencoded')) {
    throw new InvalidInputError([{ path: ['body'], message: 'must be a form with the field `key`' }]);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > FORM_BYTES_MAX) break;
    chunks.push(chunk);
  }
  if (bytes > FORM_BYTES_MAX) {
    request.resume(); // Within the loop this would do nothing, and the rest would never be read.
    throw new TooLargeError(`The form has more than ${FORM_BYTES_MAX} bytes.`);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8')).get('key');
}
