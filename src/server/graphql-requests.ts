import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { requestError } from '../graph/errors.ts';

const METHODS: ReadonlySet<string> = new Set(['GET', 'POST']);

/**
 * What Yoga takes or refuses in other words than ours: a form of another site is refused (415), a form with files needs
 * a bearer token in its header, what cannot be read is the client's fault (400), and no refusal is without a coded error.
 */
export function useRequestRules(): Plugin<object, { req: IncomingMessage }> {
  return {
    onRequestParse({ request, requestParser, setRequestParser }) {
      if (!METHODS.has(request.method)) {
        throw requestError('GraphQL takes GET and POST only.', 405, 'BAD_REQUEST', { Allow: 'GET, POST' });
      }
      const type = request.headers.get('content-type')?.split(/[;,]/, 1)[0]?.trim().toLowerCase();
      // Sent across sites without asking first, as `multipart/form-data` is: that one at least needs a header (below).
      if (!requestParser || type === 'application/x-www-form-urlencoded') {
        throw requestError('Send the operation as `application/json`.', type === undefined ? 400 : 415);
      }
      if (type === 'multipart/form-data' && !request.headers.get('authorization')) {
        throw requestError(
          'A form with files needs the header `Authorization: Bearer <accessToken>`.',
          401,
          'UNAUTHENTICATED',
        );
      }
      setRequestParser(async (body) => {
        try {
          return await requestParser(body);
        } catch (error) {
          if ((error as Error).name === 'AbortError') throw error;
          throw unreadable(error);
        }
      });
    },
    onResponse({ response, setResponse, fetchAPI }) {
      if (response.status < 400 || response.body) return;
      const { message, extensions } = requestError(UNACCEPTABLE, response.status);
      const headers = { 'content-type': 'application/json; charset=utf-8' };
      const body = JSON.stringify({ errors: [{ message, extensions: { code: extensions.code } }] });
      setResponse(new fetchAPI.Response(body, { status: response.status, headers }));
    },
  };
}

/** The one answer that Yoga gives without a body, beside those above. */
const UNACCEPTABLE =
  'Nothing in the Accept header can be given: ask for `application/json`, and for a subscription `text/event-stream`.';

/** Yoga gives some of these no status, some one that depends on what the client accepts, and some no GraphQL error at all. */
function unreadable(error: unknown): GraphQLError {
  if (!(error instanceof GraphQLError)) return requestError('The request cannot be read.', 400);
  const http = error.extensions.http as { readonly status?: number } | undefined;
  return requestError(error.message, http?.status ?? 400);
}
