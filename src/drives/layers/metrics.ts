import { DriveError } from '../errors.ts';
import type { DriveLayer, Outcome } from './call.ts';

export interface DriveMeasurement {
  readonly provider: string;
  readonly operation: string;
  readonly outcome: Outcome;
  /** Until the act ended; of a read, until its stream began. */
  readonly durationMs: number;
}

export type MetricsSink = (measurement: DriveMeasurement) => void;

/** Tells how long each act took and how it ended. */
export const metricsLayer =
  (sink: MetricsSink, nowMs: () => number = () => performance.now()): DriveLayer =>
  async (call, next) => {
    const { provider, operation } = call;
    const startedMs = nowMs();
    const measure = (outcome: Outcome): void => sink({ provider, operation, outcome, durationMs: nowMs() - startedMs });
    try {
      const result = await next(call);
      measure('ok');
      return result;
    } catch (error) {
      measure(outcomeOf(error));
      throw error;
    }
  };

export const outcomeOf = (error: unknown): Outcome => (error instanceof DriveError ? error.category : 'bug');
