import { createLog } from '../../src/lib/log.ts';
import { createGuard, type GuardOptions } from '../../src/transport/guard.ts';
import type { RequestMeasurement } from '../../src/transport/layers/log.ts';
import {
  createOutbound,
  type Outbound,
  type OutboundOptions,
  type Transport,
  type TransportOptions,
} from '../../src/transport/outbound.ts';
import type { AnswerKind, OutboundRequest } from '../../src/transport/request.ts';

export interface TestOutbound extends AsyncDisposable {
  readonly outbound: Outbound;
  /** Log lines so far, at debug level. */
  readonly lines: readonly string[];
  readonly measurements: readonly RequestMeasurement[];
  /** A transport for the account `a`, which understands no error of its own. */
  transport(options?: Partial<TransportOptions>): Transport;
}

/** Outbound HTTP that may speak to loopback, and whose retries do not wait. */
export function testOutbound(options: Partial<OutboundOptions> & { guardOptions?: GuardOptions } = {}): TestOutbound {
  const lines: string[] = [];
  const measurements: RequestMeasurement[] = [];
  const outbound = createOutbound({
    log: createLog({ level: 'debug', stream: { write: (line) => lines.push(line) } }),
    guard: createGuard({ allowCidrs: ['127.0.0.0/8'], ...options.guardOptions }),
    metrics: (measurement) => measurements.push(measurement),
    timer: impatientTimer,
    ...options,
  });
  return {
    outbound,
    lines,
    measurements,
    transport: (given = {}) =>
      outbound.transport({ provider: 'TEST', title: 'The test cloud', accountId: 'a', classify: () => null, ...given }),
    [Symbol.asyncDispose]: () => outbound.close(),
  };
}

/** Waits of up to 10 s (those between attempts) end at once; longer ones (time limits) do not end within a test. */
const impatientTimer: OutboundOptions['timer'] = {
  nowMs: () => performance.now(),
  after: (delayMs, task) => {
    const handle = setTimeout(task, delayMs <= 10_000 ? 0 : delayMs);
    return () => clearTimeout(handle);
  },
};

/** A GET of JSON without a token, but for what is given. */
export const requestFor = <Kind extends AnswerKind = 'json'>(
  url: string,
  given: Partial<OutboundRequest<Kind>> = {},
): OutboundRequest<Kind> => ({
  method: 'GET',
  url,
  idempotent: true,
  endpoint: 'test',
  as: 'json' as Kind,
  auth: false,
  signal: new AbortController().signal,
  ...given,
});
