import { z } from 'zod';
import { type Rate, type RateTable, WINDOW_MARGIN } from './limiter.ts';

/** What was counted at one gate: an endpoint class, or `*` for all together. Times in milliseconds of one clock. */
const GATE = z.object({
  /** When turns were given, ascending. */
  stamps: z.array(z.number()),
  /** Turns under way, and until when each is believed without news of its process. */
  running: z.record(z.string(), z.number()),
  pausedUntilMs: z.number(),
  /** What the longest window of any process needs: a process that knows the rates less well must not forget more. */
  keep: z.object({ count: z.number(), ms: z.number() }),
});
export type GateTurns = z.infer<typeof GATE>;

/** What was counted of an account, by gate. Plain JSON. */
export const TURNS = z.record(z.string(), GATE);
export type Turns = z.infer<typeof TURNS>;

/** A turn that somebody wants or has. */
export interface Turn {
  readonly id: string;
  readonly endpoint: string;
}

/** What one process has to tell and to ask at one time. */
export interface TurnRequest {
  readonly rates: RateTable;
  /** In the order in which they are to be given. */
  readonly wanted: readonly Turn[];
  /** Under way: believed for another {@link LEASE_MS}. */
  readonly held: readonly Turn[];
  readonly ended: readonly Turn[];
  /** Given while the account's turns could not be reached. */
  readonly given: readonly { readonly endpoint: string; readonly agoMs: number }[];
  readonly pauses: readonly { readonly gate: string; readonly durationMs: number }[];
}

export interface TurnAnswer {
  readonly turns: Turns;
  /** The ids of the wanted turns that were given. */
  readonly given: ReadonlySet<string>;
  /** In how many milliseconds a gate lets the next one through; infinite while only the end of a turn can tell. */
  readonly opensInMs: ReadonlyMap<string, number>;
  /** How long anything of this matters, in milliseconds. */
  readonly lifeMs: number;
}

/** How long a turn is believed to be under way without news of its process: then it has died. In milliseconds. */
export const LEASE_MS = 30_000;

/** The gates that a request passes. */
export const gatesOf = (endpoint: string): readonly string[] => (endpoint === '*' ? ['*'] : ['*', endpoint]);

/** Notes what is told and gives every wanted turn that can be given now. Changes nothing but what it returns. */
export function giveTurns(before: Turns, request: TurnRequest, nowMs: number): TurnAnswer {
  const { rates, wanted, held, ended, given, pauses } = request;
  const turns = structuredClone(before);
  const gateAt = (name: string): GateTurns => {
    turns[name] ??= { stamps: [], running: {}, pausedUntilMs: 0, keep: { count: 0, ms: 0 } };
    return turns[name];
  };
  for (const { endpoint, agoMs } of given)
    for (const name of gatesOf(endpoint)) gateAt(name).stamps.push(nowMs - agoMs);
  for (const { id, endpoint } of ended) for (const name of gatesOf(endpoint)) delete gateAt(name).running[id];
  for (const turn of held) begin(turn);
  for (const { gate, durationMs } of pauses) {
    gateAt(gate).pausedUntilMs = Math.max(gateAt(gate).pausedUntilMs, nowMs + durationMs);
  }
  for (const [name, gate] of Object.entries(turns)) settle(gate, rates[name], nowMs);

  const admitted = new Set<string>();
  const opensInMs = new Map<string, number>();
  for (const turn of wanted) {
    const names = gatesOf(turn.endpoint);
    const waits = names.map((name) => opensIn(gateAt(name), rates[name], nowMs));
    for (const [index, name] of names.entries()) if ((waits[index] ?? 0) > 0) opensInMs.set(name, waits[index] ?? 0);
    if (Math.max(...waits) > 0) continue;
    admitted.add(turn.id);
    for (const name of names) gateAt(name).stamps.push(nowMs);
    begin(turn);
  }
  for (const [name, gate] of Object.entries(turns)) settle(gate, rates[name], nowMs);
  const lives = Object.values(turns).map((gate) => lifeOf(gate, nowMs));
  for (const [name, gate] of Object.entries(turns)) if (lifeOf(gate, nowMs) === 0) delete turns[name];
  return { turns, given: admitted, opensInMs, lifeMs: Math.max(0, ...lives) };

  /** Only where their number matters. */
  function begin({ id, endpoint }: Turn): void {
    for (const name of gatesOf(endpoint)) {
      if (rates[name]?.concurrent !== undefined) gateAt(name).running[id] = nowMs + LEASE_MS;
    }
  }
}

/** Whether an account's rates limit how many of these run at once, so that the end of each must be told. */
export const isCounted = (rates: RateTable, endpoint: string): boolean =>
  gatesOf(endpoint).some((name) => rates[name]?.concurrent !== undefined);

/** Forgets what no window and no process needs. */
function settle(gate: GateTurns, rate: Rate | undefined, nowMs: number): void {
  for (const { max, windowMs } of rate?.windows ?? []) {
    gate.keep = { count: Math.max(gate.keep.count, max), ms: Math.max(gate.keep.ms, windowMs * WINDOW_MARGIN) };
  }
  const { count, ms } = gate.keep;
  gate.stamps = gate.stamps
    .map((stamp) => Math.min(stamp, nowMs)) // The server's clock was put back: it must not stop an account for hours.
    .filter((stamp) => stamp + ms > nowMs)
    .sort((one, other) => one - other);
  if (gate.stamps.length > count) gate.stamps = count === 0 ? [] : gate.stamps.slice(-count);
  for (const [id, untilMs] of Object.entries(gate.running)) if (untilMs <= nowMs) delete gate.running[id];
}

function opensIn(gate: GateTurns, rate: Rate | undefined, nowMs: number): number {
  if (rate?.concurrent !== undefined && Object.keys(gate.running).length >= rate.concurrent) {
    return Number.POSITIVE_INFINITY;
  }
  let opensMs = gate.pausedUntilMs;
  for (const { max, windowMs } of rate?.windows ?? []) {
    const oldest = gate.stamps.at(-max);
    if (gate.stamps.length >= max && oldest !== undefined)
      opensMs = Math.max(opensMs, oldest + windowMs * WINDOW_MARGIN);
  }
  return Math.max(0, opensMs - nowMs);
}

function lifeOf({ stamps, running, pausedUntilMs, keep }: GateTurns, nowMs: number): number {
  const newest = stamps.at(-1);
  const untilMs = [newest === undefined ? 0 : newest + keep.ms, ...Object.values(running), pausedUntilMs];
  return Math.max(0, Math.max(...untilMs) - nowMs);
}
