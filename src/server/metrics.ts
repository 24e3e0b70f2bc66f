import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What the server counts. Labels are few and closed: no path, user or operation name of a client becomes one. */
export interface Metrics {
  readonly httpAnswered: (facts: { route: string; method: string; status: number; durationMs: number }) => void;
  readonly operationEnded: (facts: { type: string; outcome: 'ok' | 'error'; durationMs: number }) => void;
  readonly subscriptionsOpen: (change: 1 | -1) => void;
  readonly errorTold: (code: string) => void;
  readonly driveCalled: (facts: { provider: string; operation: string; outcome: string; durationMs: number }) => void;
  /** Gives the number each time that it is read. */
  readonly gauge: (name: string, help: string, read: () => number) => void;
  readonly contentType: string;
  /** All of it, in the text format of Prometheus. */
  text(): Promise<string>;
}

/** Seconds. From an answer out of memory to a provider that takes its time. */
const BUCKETS = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60];

/** A registry of its own: several servers in one process, as tests have them, count apart. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const http = new Histogram({
    name: 'panql_http_request_duration_seconds',
    help: 'Time until an HTTP request was answered, by route.',
    labelNames: ['route', 'method', 'status'],
    buckets: BUCKETS,
    registers,
  });
  const operations = new Histogram({
    name: 'panql_graphql_operation_duration_seconds',
    help: 'Time that an operation ran; of a subscription, until it was open.',
    labelNames: ['type', 'outcome'],
    buckets: BUCKETS,
    registers,
  });
  const subscriptions = new Gauge({
    name: 'panql_graphql_subscriptions_open',
    help: 'Subscriptions that are open, over WebSocket and server-sent events.',
    registers,
  });
  const errors = new Counter({
    name: 'panql_graphql_errors_total',
    help: 'Top-level errors told to clients, by code.',
    labelNames: ['code'],
    registers,
  });
  const drives = new Histogram({
    name: 'panql_drive_operation_duration_seconds',
    help: 'Time that an act on a drive took; of a read, until its stream began.',
    labelNames: ['provider', 'operation', 'outcome'],
    buckets: BUCKETS,
    registers,
  });

  const httpTimer = bound(http);
  const operationTimer = bound(operations);
  return {
    httpAnswered: ({ route, method, status, durationMs }) =>
      httpTimer(durationMs, route, methodLabel(method), String(status)),
    operationEnded: ({ type, outcome, durationMs }) => operationTimer(durationMs, type, outcome),
    subscriptionsOpen: (change) => subscriptions.inc(change),
    errorTold: (code) => errors.inc({ code }),
    driveCalled: ({ durationMs, ...labels }) => drives.observe(labels, durationMs / 1000),
    gauge: (name, help, read) => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}

/** Observes by label values, in the order of the histogram's names. Looked up once: hashing them each time costs more. */
function bound(histogram: Histogram) {
  const children = new Map<string, { observe(seconds: number): void }>();
  return (durationMs: number, ...values: string[]): void => {
    const key = values.join(' ');
    let child = children.get(key);
    if (!child) {
      child = histogram.labels(...values);
      children.set(key, child);
    }
    child.observe(durationMs / 1000);
  };
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** A method is the client's to choose: one counter each for the usual ones. */
const methodLabel = (method: string): string => (METHODS.has(method) ? method : 'other');
