import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { createYoga, type YogaServerInstance } from 'graphql-yoga';
import { LRUCache } from 'lru-cache';
import type { GraphContext } from '../graph/context.ts';
import { createErrorMask, type ErrorMask } from '../graph/errors.ts';
import { OPERATION_MS_MAX } from '../graph/limits.ts';
import { createLoaders } from '../graph/loaders.ts';
import { schema } from '../graph/schema.ts';
import type { Logger } from '../lib/log.ts';
import type { Services } from '../services/services.ts';
import type { Viewer } from '../services/viewer.ts';
import { useDocumentLimits } from './graphql-documents.ts';
import { useExecutionLimits } from './graphql-execution.ts';
import { useRequestRules } from './graphql-requests.ts';
import type { LiveStreams } from './live.ts';
import type { Metrics } from './metrics.ts';

export const GRAPHQL_PATH = '/graphql';

/** What the transport knows of a client. */
export interface ClientFacts {
  readonly viewer: Viewer | null;
  /** Whether a token came that does not count. */
  readonly tokenRejected?: boolean;
  readonly clientAddress: string;
  readonly userAgent: string | null;
}

/** The same, of one request or one operation of a socket. */
export interface RequestFacts extends ClientFacts {
  readonly signal: AbortSignal;
}

/** What the server gives to Yoga with each request or operation. */
export interface ServerContext {
  readonly req: IncomingMessage;
  /** Ends what the operation began: the client is gone, or the operation took too long. A native signal, unlike Yoga's. */
  readonly ending: AbortController;
  /** Known already for an operation of a socket. */
  readonly client?: ClientFacts;
}

export interface GraphqlOptions {
  readonly services: Services;
  readonly log: Logger;
  readonly introspection: boolean;
  readonly live: LiveStreams;
  readonly metrics: Metrics;
  /** Who sent an HTTP request. */
  readonly clientOf: (request: IncomingMessage) => Promise<ClientFacts>;
  readonly operationMsMax?: number;
}

export type Yoga = YogaServerInstance<ServerContext, GraphContext>;

export interface Graphql {
  readonly yoga: Yoga;
  readonly mask: ErrorMask;
}

/** The GraphQL server: one pipeline for HTTP, SSE and, through `getEnveloped`, WebSocket. */
export function createGraphql(options: GraphqlOptions): Graphql {
  const { log, metrics, live, introspection } = options;
  const mask = createErrorMask({ log, suggestions: introspection, onError: metrics.errorTold });
  const yoga = createYoga<ServerContext, GraphContext>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    logging: false, // The mask logs what is unexpected; Yoga would log every error that it changes.
    maskedErrors: { maskError: mask, isDev: false },
    context: async (initial) => {
      const { req, ending, client } = initial as unknown as ServerContext;
      return createContext(options, { ...(client ?? (await options.clientOf(req))), signal: ending.signal });
    },
    // http.ts answers these, for all routes alike, and does not echo any origin with credentials as Yoga would.
    cors: false,
    graphiql: false,
    landingPage: false,
    healthCheckEndpoint: '/-', // Yoga matches the end of the URL, its query included; ours are in health.ts.
    batching: false,
    maxRequestBodySize: false, // body.ts limits it without a stream around every body, which halves throughput.
    parserAndValidationCache: {
      documentCache: createDocumentCache(),
      errorCache: createDocumentCache(),
      validationCache: false, // graphql-documents.ts has one.
    },
    plugins: [
      useRequestRules(),
      useDocumentLimits({ mask, introspection }),
      useExecutionLimits({
        mask,
        live,
        metrics,
        reauthenticate: async (request) => (await options.clientOf(request)).viewer,
        renew: (context) => ({ ...context, loaders: createLoaders(options.services, context.viewer, context.signal) }),
        operationMsMax: options.operationMsMax ?? OPERATION_MS_MAX,
      }),
    ],
  });
  return { yoga, mask };
}

export function createContext({ services }: Pick<GraphqlOptions, 'services'>, facts: RequestFacts): GraphContext {
  return {
    ...facts,
    services,
    loaders: createLoaders(services, facts.viewer, facts.signal),
    requestId: randomUUID(), // Not `newId`: nothing sorts by it, and its random bytes cost more than all the rest here.
  };
}

/** Characters of all documents that one cache holds: 1,024 of the longest ones, as Yoga would keep, are 100 MB. */
const CACHED_CHARACTERS_MAX = 4_000_000;

const createDocumentCache = <Value extends object>(): LRUCache<string, Value> =>
  new LRUCache({
    max: 1_024,
    maxSize: CACHED_CHARACTERS_MAX,
    sizeCalculation: (_value, document) => document.length || 1,
  });
