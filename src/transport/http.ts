import type { Dispatcher } from 'undici';
import { type ReadOptions, readAnswer } from './answer.ts';
import { type EncodedBody, encodeBody } from './body.ts';
import { faultOf, peerError } from './faults.ts';
import { followed, type Hop, isRedirect } from './redirect.ts';
import { type OutboundNext, type OutboundRequest, requestUrl, SILENCE_MS } from './request.ts';
import { rangeHeader } from './stream.ts';

export interface HttpOptions extends ReadOptions {
  readonly dispatcher: Dispatcher;
  readonly baseUrl: string | null;
  /** On every request, lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The innermost of the funnel: sends one request, follows the redirects that it allows, reads and classifies the answer. */
export const httpExchange =
  (options: HttpOptions): OutboundNext =>
  async ({ request }) => {
    const { peer } = options;
    const url = requestUrl(request, options.baseUrl);
    if (url === null) throw peerError(peer, 'unexpected', `${peer.title} gave an address that is not a URL.`);
    const body = request.body ? encodeBody(request.body) : null;
    try {
      let hop: Hop = { url, headers: requestHeaders(request, body, options.headers) };
      for (let hops = 0; ; hops += 1) {
        const response = await send(hop, request, body, options.dispatcher);
        if (!request.redirects || !isRedirect(request, response.statusCode)) {
          return await readAnswer(response, hop.url.href, request, options);
        }
        await response.body.dump();
        hop = followed(peer, hop, response.headers.location, request.redirects, hops);
      }
    } catch (error) {
      throw faultOf(peer, error, request.signal);
    }
  };

const send = (
  { url, headers }: Hop,
  { method, signal, silenceMs = SILENCE_MS }: OutboundRequest,
  body: EncodedBody | null,
  dispatcher: Dispatcher,
): Promise<Dispatcher.ResponseData> =>
  dispatcher.request({
    origin: url.origin,
    path: url.pathname + url.search,
    method,
    headers,
    body: body?.payload ?? null,
    signal,
    // The attempt's own time limit covers the wait for headers; here is only the silence within a body.
    headersTimeout: 0,
    bodyTimeout: silenceMs,
  });

function requestHeaders(
  request: OutboundRequest,
  body: EncodedBody | null,
  standing: Readonly<Record<string, string>>,
): Record<string, string> {
  const range = request.range ? rangeHeader(request.range) : null;
  return {
    // Lengths and hashes are of the bytes as they are stored.
    'accept-encoding': 'identity',
    ...standing,
    ...(body ? { 'content-type': body.contentType, 'content-length': String(body.length) } : {}),
    ...(range === null ? {} : { range }),
    ...Object.fromEntries(Object.entries(request.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
  };
}
