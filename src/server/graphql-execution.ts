import type { IncomingMessage } from 'node:http';
import { type ExecutionArgs, type ExecutionResult, GraphQLError, getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { GraphContext } from '../graph/context.ts';
import { costFault } from '../graph/cost.ts';
import { type ErrorMask, requestError, unknownOperation } from '../graph/errors.ts';
import { UnavailableError } from '../lib/errors.ts';
import type { Viewer } from '../services/viewer.ts';
import type { ServerContext } from './graphql.ts';
import type { LiveStream, LiveStreams } from './live.ts';
import type { Metrics } from './metrics.ts';
import { openSubscription, type SubscriptionArgs } from './subscriptions.ts';

export interface ExecutionLimitsOptions {
  readonly mask: ErrorMask;
  readonly live: LiveStreams;
  readonly metrics: Metrics;
  /** Looks again at what an HTTP request presented. */
  readonly reauthenticate: (request: IncomingMessage) => Promise<Viewer | null>;
  /** A context for one event of a subscription. */
  readonly renew: (context: GraphContext) => GraphContext;
  readonly operationMsMax: number;
}

/** `request` is there when the operation came by HTTP. */
type OperationContext = GraphContext & ServerContext & { readonly request?: Request };

type Run<Result> = (args: ExecutionArgs) => Result | Promise<Result>;

/** The cost of an operation, how long it may run, what its context is, and what ends it. */
export function useExecutionLimits(options: ExecutionLimitsOptions): Plugin {
  return {
    onExecute({ args, executeFn, setExecuteFn, setResultAndStopExecution }) {
      const known = getOperationAST(args.document, args.operationName) !== null;
      const fault = known ? costFault(args as ExecutionArgs) : unknownOperation();
      if (fault) setResultAndStopExecution({ errors: [options.mask(fault)] });
      else setExecuteFn((given: ExecutionArgs) => execute(executeFn as Run<ExecutionResult>, given, options));
    },
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn((given: ExecutionArgs) => subscribe(given as SubscriptionArgs, options));
    },
  };
}

/** Runs a query or mutation to its end, or to the end of its time: what it changed by then stays changed. */
function execute(
  run: Run<ExecutionResult>,
  args: ExecutionArgs,
  { metrics, operationMsMax }: ExecutionLimitsOptions,
): ExecutionResult | Promise<ExecutionResult> {
  const type = getOperationAST(args.document, args.operationName)?.operation ?? 'unknown';
  const startedMs = performance.now();
  const ended = (result: ExecutionResult): ExecutionResult => {
    const outcome = result.errors ? 'error' : 'ok';
    metrics.operationEnded({ type, outcome, durationMs: performance.now() - startedMs });
    return result;
  };
  const running = run(args);
  if (!isPromise(running)) return ended(running); // What is answered at once needs no clock.
  const { ending } = args.contextValue as OperationContext;
  return withinTime(running, operationMsMax, ending).then(ended);
}

/** The executor's promises are not all of the class Promise. */
const isPromise = (value: ExecutionResult | Promise<ExecutionResult>): value is Promise<ExecutionResult> =>
  'then' in value;

async function withinTime(
  running: Promise<ExecutionResult>,
  milliseconds: number,
  ending: AbortController,
): Promise<ExecutionResult> {
  const late = Promise.withResolvers<ExecutionResult>();
  const timer = setTimeout(() => {
    const fault = new UnavailableError('The operation took too long and was given up.');
    ending.abort(fault);
    late.resolve({ errors: [new GraphQLError(fault.message, { originalError: fault })] });
  }, milliseconds);
  try {
    return await Promise.race([running, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function subscribe(args: SubscriptionArgs, options: ExecutionLimitsOptions) {
  const { metrics, renew } = options;
  const context = args.contextValue as OperationContext;
  const stream = context.request ? openStream(context, context.request, options) : null;
  const startedMs = performance.now();
  metrics.subscriptionsOpen(1);
  const result = await openSubscription(args, {
    renew,
    signal: context.ending.signal,
    onEnd: () => {
      stream?.release();
      metrics.subscriptionsOpen(-1);
    },
  });
  const outcome = 'errors' in result ? 'error' : 'ok';
  metrics.operationEnded({ type: 'subscription', outcome, durationMs: performance.now() - startedMs });
  return result;
}

/** A subscription by HTTP ends with its session or the server, as a socket does for all that it carries. */
function openStream(context: OperationContext, request: Request, options: ExecutionLimitsOptions): LiveStream {
  if (!acceptsEvents(request)) {
    throw requestError('A subscription needs the header `Accept: text/event-stream`, or a WebSocket.', 406);
  }
  const stream = options.live.open(context.clientAddress);
  stream.signal.addEventListener('abort', () => context.ending.abort(stream.signal.reason), { once: true });
  stream.bind(context.viewer, () => options.reauthenticate(context.req));
  return stream;
}

function acceptsEvents(request: Request): boolean {
  const accept = request.headers.get('accept');
  return accept === null || /text\/event-stream|text\/\*|\*\/\*/i.test(accept);
}
