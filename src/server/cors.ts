import type { IncomingMessage, ServerResponse } from 'node:http';

/** What pages of other origins may do with a route, once their origin is allowed. */
export interface CorsRules {
  readonly methods: readonly string[];
  /** Headers of requests, in lower case, beyond the few that need no leave. */
  readonly requestHeaders: readonly string[];
  /** Headers of answers that a page may read, beyond the few that it always may. */
  readonly exposedHeaders?: readonly string[];
}

export interface Cors {
  /** Whether pages of this origin may use the API. */
  allows(origin: string): boolean;
  /** Sets the headers of the answer, and ends it when the request only asked for leave: then true. */
  apply(request: IncomingMessage, response: ServerResponse, rules: CorsRules): boolean;
}

/** How long a browser may remember a leave, in seconds. Chromium keeps none longer. */
const LEAVE_SECONDS = 7_200;

/**
 * Cross-origin requests by the list of CORS_ORIGINS; `*` is every origin. Credentials (cookies) are never allowed: a
 * page sends its bearer token itself.
 */
export function createCors(origins: readonly string[]): Cors {
  const everyOrigin = origins.includes('*');
  const allowed = new Set(origins);
  const allows = (origin: string): boolean => everyOrigin || allowed.has(origin);
  return {
    allows,
    apply(request, response, rules) {
      if (!everyOrigin) response.appendHeader('Vary', 'Origin');
      const { origin } = request.headers;
      const asksLeave = request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
      if (origin !== undefined && allows(origin)) {
        response.setHeader('Access-Control-Allow-Origin', everyOrigin ? '*' : origin);
        if (rules.exposedHeaders) response.setHeader('Access-Control-Expose-Headers', rules.exposedHeaders.join(', '));
        if (asksLeave) {
          response.setHeader('Access-Control-Allow-Methods', rules.methods.join(', '));
          response.setHeader('Access-Control-Allow-Headers', rules.requestHeaders.join(', '));
          response.setHeader('Access-Control-Max-Age', LEAVE_SECONDS);
        }
      }
      if (asksLeave) response.writeHead(204).end();
      return asksLeave;
    },
  };
}
