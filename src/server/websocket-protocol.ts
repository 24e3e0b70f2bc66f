import { type ExecutionArgs, type GraphQLError, getOperationAST } from 'graphql';
import { type Context, makeServer, type Server as ProtocolServer, type SubscribePayload } from 'graphql-ws';
import { type ErrorMask, ShuttingDownError, unknownOperation } from '../graph/errors.ts';
import { RateLimitedError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Viewer } from '../services/viewer.ts';
import type { ServerContext, Yoga } from './graphql.ts';
import type { Connection } from './websocket-connection.ts';

export interface ProtocolOptions {
  readonly yoga: Yoga;
  readonly mask: ErrorMask;
  readonly log: Logger;
  readonly authenticate: (token: string) => Promise<Viewer | null>;
  /** Default {@link INIT_MS_MAX}. */
  readonly initMsMax?: number;
  /** Default {@link SUBSCRIPTIONS_MAX}. */
  readonly subscriptionsMax?: number;
}

/** How long a client may take from connecting to `connection_init`, in milliseconds. */
const INIT_MS_MAX = 10_000;
/** Operations that one socket may have open. */
const SUBSCRIPTIONS_MAX = 100;
/** A close code of the registry of RFC 6455: try again later. Clients of the protocol do. */
const TRY_AGAIN_LATER = 1013;

/** The protocol of `graphql-ws`. Not its `useServer`: that writes to the console, and cannot wait for what still runs. */
export function createProtocol(options: ProtocolOptions): ProtocolServer<Connection> {
  const { mask, initMsMax = INIT_MS_MAX, log } = options;
  return makeServer<Record<string, unknown>, Connection>({
    connectionInitWaitTimeout: initMsMax,
    onConnect: async ({ connectionParams, extra: connection }) => {
      try {
        return await connect(connection, connectionParams, options);
      } catch (error) {
        log.error({ err: error }, 'a WebSocket could not be authenticated');
        connection.socket.close(TRY_AGAIN_LATER, 'Try again later');
        return false;
      }
    },
    onSubscribe: (context, _id, payload) => prepare(context, payload, options),
    execute: (args) => {
      const { connection, enveloped } = args as SocketArgs;
      return connection.track(Promise.resolve(enveloped.execute(args)));
    },
    subscribe: (args) => (args as SocketArgs).enveloped.subscribe(args),
    onComplete: ({ extra: connection }, _id, payload) => connection.endOperation(payload),
    onNext: (_context, _id, _payload, _args, result) =>
      result.errors ? { ...result, errors: result.errors.map((error) => present(mask(error))) } : undefined,
    onError: (_context, _id, _payload, errors) => errors.map((error) => present(mask(error))),
  });
}

/** What `onSubscribe` finds out, for `execute` and `subscribe` to go on with. */
type SocketArgs = ExecutionArgs & {
  readonly connection: Connection;
  readonly enveloped: Pick<ReturnType<Yoga['getEnveloped']>, 'execute' | 'subscribe'>;
};

/** False, which closes 4403, when a token is given that does not count. Without any, the client is nobody yet. */
async function connect(
  connection: Connection,
  params: Readonly<Record<string, unknown>> | undefined,
  { authenticate }: ProtocolOptions,
): Promise<boolean> {
  const token = tokenOf(params) ?? connection.request.headers.authorization;
  if (token === undefined) return true;
  if (typeof token !== 'string') return false;
  const bare = token.replace(/^Bearer +/i, '');
  const viewer = await authenticate(bare);
  if (viewer === null) return false;
  connection.bind(viewer, bare);
  return true;
}

/** `{ authorization: 'Bearer …' }`, in any case as header names are, or `{ accessToken }`. */
function tokenOf(params: Readonly<Record<string, unknown>> = {}): unknown {
  const name = Object.keys(params).find((key) => /^(authorization|accessToken)$/i.test(key));
  return name === undefined ? undefined : (params[name] ?? undefined);
}

/**
 * Parses, validates and makes the context, as an HTTP request would. Whatever fails is an error of this one operation:
 * thrown out of here it would close the socket, and every other subscription of the client with it.
 */
async function prepare(
  { extra: connection, subscriptions }: Context<Record<string, unknown>, Connection>,
  payload: SubscribePayload,
  { yoga, mask, subscriptionsMax = SUBSCRIPTIONS_MAX }: ProtocolOptions,
): Promise<SocketArgs | readonly GraphQLError[]> {
  const { query, variables, operationName } = payload;
  try {
    if (connection.draining) throw new ShuttingDownError();
    if (Object.keys(subscriptions).length > subscriptionsMax) {
      throw new RateLimitedError(`This socket has ${subscriptionsMax} operations open. Complete some first.`);
    }
    const initial: ServerContext = {
      req: connection.request,
      ending: connection.beginOperation(payload),
      client: connection.client,
    };
    const { schema, parse, validate, contextFactory, execute, subscribe } = yoga.getEnveloped(initial);
    const document = parse(query);
    const errors = validate(schema, document);
    if (errors.length > 0) throw new AggregateError(errors);
    if (!getOperationAST(document, operationName)) throw unknownOperation();
    return {
      schema,
      document,
      operationName,
      variableValues: variables,
      contextValue: await contextFactory(),
      connection,
      enveloped: { execute, subscribe },
    };
  } catch (error) {
    connection.endOperation(payload);
    return error instanceof AggregateError ? error.errors : [mask(error)];
  }
}

/** An error as the client gets it; what it would mean for the status of an HTTP answer stays here. */
function present(error: GraphQLError) {
  const { extensions, ...told } = error.toJSON();
  const { http: _http, ...shown } = extensions ?? {};
  return { ...told, extensions: shown };
}
