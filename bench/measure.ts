import { readFile } from 'node:fs/promises';

/** What one run cost and gave, by the names of {@link Measure}. */
export type Sample = Readonly<Record<string, number>>;

/** One figure of a bench, ours against a control in the same run. */
export interface Measure {
  /** Its name in a {@link Sample}. */
  readonly key: string;
  /** For people: `throughput`. */
  readonly title: string;
  readonly unit: string;
  /** The ratio that we want at least (where more is better) or at most; left out: told only. */
  readonly bar?: { readonly atLeast: number } | { readonly atMost: number };
}

export interface Comparison extends Measure {
  /** Medians of the rounds. */
  readonly ours: number;
  readonly control: number;
  /** Median of the rounds' ratios, ours to the control's. */
  readonly ratio: number;
}

/**
 * Runs both sides in turns, as a machine's speed changes from minute to minute: A B, B A, A B …
 * The first round warms up and does not count.
 */
export async function interleave(
  rounds: number,
  ours: (round: number) => Promise<Sample>,
  control: (round: number) => Promise<Sample>,
): Promise<{ readonly ours: Sample[]; readonly control: Sample[] }> {
  const samples = { ours: [] as Sample[], control: [] as Sample[] };
  for (let round = 0; round <= rounds; round += 1) {
    const oursFirst = round % 2 === 0;
    const first = await (oursFirst ? ours : control)(round);
    const second = await (oursFirst ? control : ours)(round);
    if (round === 0) continue;
    samples.ours.push(oursFirst ? first : second);
    samples.control.push(oursFirst ? second : first);
  }
  return samples;
}

export const compare = (
  measures: readonly Measure[],
  samples: { readonly ours: readonly Sample[]; readonly control: readonly Sample[] },
): Comparison[] =>
  measures.map((measure) => {
    const read = (sample: Sample | undefined): number => sample?.[measure.key] ?? Number.NaN;
    return {
      ...measure,
      ours: median(samples.ours.map(read)),
      control: median(samples.control.map(read)),
      ratio: median(samples.ours.map((sample, index) => read(sample) / read(samples.control[index]))),
    };
  });

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Whether the ratio is on the right side of its bar; null without one. */
export function isWithinBar({ bar, ratio }: Comparison): boolean | null {
  if (!bar) return null;
  return 'atLeast' in bar ? ratio >= bar.atLeast : ratio <= bar.atMost;
}

/** Clock ticks in a second, as Linux tells CPU time: 100 on every machine that runs Node. */
const TICKS_PER_SECOND = 100;

/** CPU time of a process so far, in milliseconds; NaN where the system does not tell (it is Linux that does). */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field, the program's name in brackets, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1000;
}

/** Memory of a process, in bytes; NaN where the system does not tell. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

/** What `work` took: wall time and the CPU time of the process that served it, in milliseconds. */
export async function timed<Result>(
  pid: number,
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly ms: number; readonly cpuMs: number }> {
  const cpuBefore = await cpuMs(pid);
  const startedMs = performance.now();
  const result = await work();
  const ms = performance.now() - startedMs;
  return { result, ms, cpuMs: (await cpuMs(pid)) - cpuBefore };
}
