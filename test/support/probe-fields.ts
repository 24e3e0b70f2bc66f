import { builder } from '../../src/graph/builder.ts';
import { NotFoundError, ProviderError, RateLimitedError } from '../../src/lib/errors.ts';

/** A word that no answer may hold. */
export const CANARY = 'canary-7f3a';

/** What resolvers throw, by name. */
const FAULTS: Readonly<Record<string, () => unknown>> = {
  secret: () => new Error(`connect postgres://user:${CANARY}@db/panql failed at /srv/${CANARY}/panql.sqlite`),
  wrapped: () => new Error('outer', { cause: new Error(CANARY) }),
  text: () => CANARY,
  aborted: () => new DOMException(CANARY, 'AbortError'),
  timeout: () => new DOMException(CANARY, 'TimeoutError'),
  notFound: () => new NotFoundError('There is no such file.'),
  behindCause: () => new Error(CANARY, { cause: new NotFoundError('There is no such file.') }),
  limited: () => new RateLimitedError('Too many.', { retryAt: new Date('2026-11-20T08:30:00Z') }),
  provider: () =>
    new ProviderError('The drive refused.', { provider: 'LOCAL', providerCode: '42', hint: 'Look.', cause: CANARY }),
};

/** A source that a test feeds, and that tells its end. */
export class Source<Value> implements AsyncIterableIterator<Value> {
  readonly ended: Promise<void>;
  #end: () => void = () => {};
  #waiting: ((step: IteratorResult<Value>) => void) | null = null;
  readonly #values: Value[] = [];
  #over = false;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  push(value: Value): void {
    if (this.#waiting) this.#waiting({ done: false, value });
    else this.#values.push(value);
    this.#waiting = null;
  }

  next(): Promise<IteratorResult<Value>> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  async return(): Promise<IteratorResult<Value>> {
    this.#over = true;
    this.#waiting?.({ done: true, value: undefined });
    this.#end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** What the fields below share with the test. */
export const probe = {
  /** Called when `probeSlow` begins; what it gives is awaited. */
  slow: async (_signal: AbortSignal): Promise<string> => 'done',
  /** The source of the next `probeTicks`. */
  source: new Source<number>(),
  /** The signal of the newest subscription. */
  signal: AbortSignal.abort(),
  /** One for each event that was resolved. */
  contexts: [] as object[],
  /** How often `probeEffect` ran. */
  effects: 0,
};

builder.queryFields((t) => ({
  probeFault: t.string({
    nullable: true,
    skipTypeScopes: true,
    args: { kind: t.arg.string({ required: true }) },
    resolve: (_root, { kind }) => {
      throw FAULTS[kind]?.();
    },
  }),
  probeUnfit: t.int({ nullable: true, skipTypeScopes: true, resolve: () => CANARY as unknown as number }),
  probeMissing: t.string({ skipTypeScopes: true, resolve: () => null as unknown as string }),
  probeSlow: t.string({
    nullable: true,
    skipTypeScopes: true,
    resolve: (_root, _args, { signal }) => probe.slow(signal),
  }),
  probeEcho: t.string({
    nullable: true,
    skipTypeScopes: true,
    args: { text: t.arg.string({ required: true }) },
    resolve: (_root, { text }) => String(text.length),
  }),
  probeLarge: t.string({
    nullable: true,
    skipTypeScopes: true,
    args: { bytes: t.arg.int({ required: true }) },
    resolve: (_root, { bytes }) => 'x'.repeat(bytes),
  }),
  probeMoment: t.field({
    type: 'DateTime',
    skipTypeScopes: true,
    args: { at: t.arg({ type: 'DateTime', required: true }), bytes: t.arg({ type: 'ByteCount' }) },
    resolve: (_root, { at }) => at,
  }),
  /** The root denies it: only somebody signed in may ask. */
  probePrivate: t.string({ nullable: true, resolve: () => 'private' }),
}));

interface Nest {
  readonly depth: number;
}
const Nest = builder.objectRef<Nest>('ProbeNest');
Nest.implement({
  fields: (t) => ({
    depth: t.exposeInt('depth'),
    deeper: t.field({ type: Nest, resolve: ({ depth }) => ({ depth: depth + 1 }) }),
    list: t.field({
      type: [Nest],
      args: { first: t.arg.int() },
      complexity: ({ first }) => ({ field: 1, multiplier: first ?? 1 }),
      resolve: ({ depth }) => [{ depth: depth + 1 }],
    }),
  }),
});
builder.queryField('probeNest', (t) => t.field({ type: Nest, skipTypeScopes: true, resolve: () => ({ depth: 1 }) }));

builder.mutationField('probeEffect', (t) =>
  t.int({
    skipTypeScopes: true,
    authScopes: { public: true },
    resolve: () => {
      probe.effects += 1;
      return probe.effects;
    },
  }),
);

builder.subscriptionFields((t) => ({
  /** Numbers of `probe.source`; a negative one fails to resolve. */
  probeTicks: t.int({
    nullable: true,
    subscribe: (_root, _args, { signal }) => {
      probe.signal = signal;
      return probe.source;
    },
    resolve: (tick, _args, context) => {
      probe.contexts.push(context);
      if (tick < 0) throw FAULTS.secret?.();
      return tick;
    },
  }),
  /** An async generator that waits for what never comes: it hears of its end by the signal alone. */
  probeSilence: t.int({
    nullable: true,
    subscribe: async function* (_root, _args, { signal }) {
      probe.signal = signal;
      yield 1;
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
    resolve: (tick) => tick,
  }),
  probeRefused: t.int({
    nullable: true,
    args: { kind: t.arg.string({ required: true }) },
    subscribe: (_root, { kind }) => {
      throw FAULTS[kind]?.();
    },
    resolve: () => null,
  }),
  probeBroken: t.int({
    nullable: true,
    subscribe: async function* () {
      yield 1;
      throw FAULTS.secret?.();
    },
    resolve: (tick) => tick,
  }),
  probeForest: t.field({
    type: Nest,
    subscribe: async function* () {
      yield { depth: 1 };
    },
    resolve: (nest) => nest as Nest,
  }),
}));
