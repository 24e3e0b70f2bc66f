import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  executeSubscriptionEvent,
  GraphQLError,
  mapSourceToResponseEvent,
  validateSubscriptionArgs,
} from 'graphql';
import type { GraphContext } from '../graph/context.ts';
import { costFault } from '../graph/cost.ts';

export interface SubscriptionArgs extends ExecutionArgs {
  readonly contextValue: GraphContext;
}

export interface SubscriptionOptions {
  /** A context for one event: what an earlier event loaded is not shown by a later one, and rights are looked at anew. */
  readonly renew: (context: GraphContext) => GraphContext;
  /** Ends the stream; with an Error that callers may know, its last result tells it. */
  readonly signal: AbortSignal;
  /** Called once when the stream is over, however it ended. */
  readonly onEnd: () => void;
}

/** The results of one subscription, or why it could not begin. The source sees its end by `context.signal`. */
export async function openSubscription(
  args: SubscriptionArgs,
  options: SubscriptionOptions,
): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
  const ender = new AbortController();
  const fail = (errors: readonly GraphQLError[]): ExecutionResult => {
    ender.abort();
    options.onEnd();
    return { errors };
  };

  const contextValue = { ...args.contextValue, signal: ender.signal };
  const validated = validateSubscriptionArgs({ ...args, contextValue });
  if (!('schema' in validated)) return fail(validated.map(asRequestError));
  const fault = costFault(args);
  if (fault) return fail([fault]);

  const source = await createSourceEventStream(validated);
  if (!(Symbol.asyncIterator in source)) return fail(source.errors ?? []);
  const results = mapSourceToResponseEvent(validated, source, (event) =>
    executeSubscriptionEvent({ ...event, contextValue: options.renew(contextValue) }),
  );
  return new ResultStream(results, ender, options);
}

const asRequestError = ({ message, nodes }: GraphQLError): GraphQLError =>
  new GraphQLError(message, { nodes: nodes ?? null, extensions: { code: 'BAD_USER_INPUT', http: { status: 400 } } });

const DONE = { done: true, value: undefined } as const;

/**
 * Results that end at once: on `return()` and on the signal a pending `next()` is answered, whatever the source is
 * waiting for. (An async generator would queue the end behind the next event, which may never come; racing one
 * long-lived promise for each event would keep a reaction of each in memory.)
 */
class ResultStream implements AsyncIterableIterator<ExecutionResult> {
  readonly #results: AsyncIterator<ExecutionResult>;
  readonly #ender: AbortController;
  readonly #options: SubscriptionOptions;
  readonly #onAbort = (): void => this.#end(this.#options.signal.reason);
  #over = false;
  /** The last result, not yet read. */
  #last: ExecutionResult | null = null;
  #pending: ((step: IteratorResult<ExecutionResult>) => void) | null = null;

  constructor(results: AsyncIterable<ExecutionResult>, ender: AbortController, options: SubscriptionOptions) {
    this.#results = results[Symbol.asyncIterator]();
    this.#ender = ender;
    this.#options = options;
    options.signal.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal.aborted) this.#onAbort();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** One at a time, as `for await` and both transports call it. */
  async next(): Promise<IteratorResult<ExecutionResult>> {
    if (this.#over) return this.#takeLast();
    const { promise, resolve } = Promise.withResolvers<IteratorResult<ExecutionResult>>();
    this.#pending = resolve;
    this.#results.next().then(
      (step) => {
        if (step.done) this.#end(null);
        else this.#answer(step);
      },
      (error) => this.#end(error),
    );
    return promise;
  }

  async return(): Promise<IteratorResult<ExecutionResult>> {
    this.#end(null);
    return DONE;
  }

  #end(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    // A client that went away is nobody to tell anything.
    if (reason instanceof Error && reason.name !== 'AbortError') {
      this.#last = { errors: [new GraphQLError(reason.message, { originalError: reason })] };
    }
    this.#ender.abort(reason);
    // Not awaited: it may wait for the event that the source was waiting for. How it ends concerns nobody any more.
    this.#results.return?.().catch(() => {});
    if (this.#pending) this.#answer(this.#takeLast());
    this.#options.onEnd();
  }

  #takeLast(): IteratorResult<ExecutionResult> {
    const value = this.#last;
    this.#last = null;
    return value ? { done: false, value } : DONE;
  }

  #answer(step: IteratorResult<ExecutionResult>): void {
    const resolve = this.#pending;
    this.#pending = null;
    resolve?.(step);
  }
}
