import { createHash } from 'node:crypto';
import type { FaultPlan } from './fault-proxy.ts';
import type { Job } from './jobs.ts';
import type { Killer } from './killed-server.ts';
import type { Outcome } from './work.ts';

/**
 * What happened in a run, without a time, an id or an address in it. With one job at a time, the same seed gives the same
 * story, but for trees and large files, whose parts go side by side. With several jobs, `asked` and the moments of `kills` (after so many jobs, after so many requests) are the same, and a
 * request meets the same fault as long as it names its job and comes as the same how-manieth of its kind. What is left to
 * the order in which jobs get on: which request a kill strikes, how many requests there are after it, and what befalls
 * those that name no job, as parts of files do.
 */
export interface Story {
  /** Each job, with the SHA-256 of its bytes. */
  readonly asked: readonly string[];
  /** By job: which of its requests met which fault. */
  readonly faults: readonly string[];
  readonly kills: readonly string[];
  /** By job: whether it is there, or why not. */
  readonly ends: readonly string[];
}

export function storyOf(
  jobs: readonly Job[],
  { met }: FaultPlan,
  { struck }: Pick<Killer, 'struck'>,
  outcomes: readonly Outcome[],
): Story {
  const places = new Map(jobs.map(({ name }, index) => [name, index]));
  const placeOf = (name: string): number => places.get(name) ?? jobs.length;
  return {
    asked: jobs.map((job) => `${job.name} to ${job.target}${fromOf(job)}: ${[...job.files].map(fileOf).join(', ')}`),
    faults: met
      .filter(({ job }) => job !== '')
      .map(({ job, request, times, fault }) => ({ job, line: `${job}, ${request} (${times}): ${fault}` }))
      .toSorted((left, right) => placeOf(left.job) - placeOf(right.job) || (left.line < right.line ? -1 : 1))
      .map(({ line }) => line),
    kills: struck,
    ends: outcomes
      .toSorted((left, right) => placeOf(left.job.name) - placeOf(right.job.name))
      .map(({ job, reason }) => `${job.name}: ${reason ?? 'there'}`),
  };
}

const fromOf = ({ kind, source }: Job): string =>
  kind === 'copy' || kind === 'tree' || kind === 'move' || kind === 'twin' ? ` from ${source}` : '';

const fileOf = ([path, bytes]: readonly [string, Buffer]): string =>
  `${path} of ${bytes.length} bytes (${createHash('sha256').update(bytes).digest('hex').slice(0, 16)})`;
