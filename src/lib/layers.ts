/** The rest of the way in: the layers below and what they surround. */
export type Next<Call, Result = unknown> = (call: Call) => Promise<Result>;

/** What goes around every call: it may look, change the call, answer itself, or pass it on. */
export type Layer<Call, Result = unknown> = (call: Call, next: Next<Call, Result>) => Promise<Result>;

/** One function of many layers, the first outermost. */
export const compose = <Call, Result = unknown>(
  layers: readonly Layer<Call, Result>[],
  innermost: Next<Call, Result>,
): Next<Call, Result> =>
  layers.reduceRight<Next<Call, Result>>((next, layer) => (call) => layer(call, next), innermost);
