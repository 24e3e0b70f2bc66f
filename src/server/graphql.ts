import type { IncomingMessage } from 'node:http';
import { createYoga, type YogaServerInstance } from 'graphql-yoga';
import type { GraphContext } from '../graph/context.ts';
import { createErrorMask } from '../graph/errors.ts';
import { createLoaders } from '../graph/loaders.ts';
import { schema } from '../graph/schema.ts';
import { newId } from '../lib/ids.ts';
import type { Logger } from '../lib/log.ts';
import type { Services } from '../services/services.ts';
import type { Viewer } from '../services/viewer.ts';

export const GRAPHQL_PATH = '/graphql';

export interface GraphqlOptions {
  readonly services: Services;
  readonly log: Logger;
  readonly corsOrigins: readonly string[];
  readonly graphiql: boolean;
  readonly introspection: boolean;
}

/** What the transport knows of a request; the same for HTTP, SSE and WebSocket. */
export interface RequestFacts {
  readonly viewer: Viewer | null;
  readonly clientAddress: string;
  readonly userAgent: string | null;
  readonly signal: AbortSignal;
}

export type Yoga = YogaServerInstance<{ req: IncomingMessage; facts: RequestFacts }, GraphContext>;

/** The GraphQL server: one pipeline for HTTP, SSE and, through `getEnveloped`, WebSocket. */
export function createGraphql(options: GraphqlOptions): Yoga {
  return createYoga<{ req: IncomingMessage; facts: RequestFacts }, GraphContext>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    maskedErrors: { maskError: createErrorMask(options.log), isDev: false },
    context: ({ facts }) => createContext(options, facts),
  });
}

export function createContext(options: Pick<GraphqlOptions, 'services' | 'log'>, facts: RequestFacts): GraphContext {
  const requestId = newId();
  return {
    ...facts,
    services: options.services,
    loaders: createLoaders(options.services, facts.viewer),
    log: options.log.child({ requestId, userId: facts.viewer?.userId }),
    requestId,
  };
}
