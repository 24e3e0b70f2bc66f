import { createCipheriv, createHash } from 'node:crypto';
import { type PlannedKill, randomFrom } from './killed-server.ts';

/**
 * How a file gets to a drive. A `move` takes its source away; a `twin` is a copy with RENAME to where a file of the same
 * name and bytes is.
 */
export const KINDS = ['upload', 'text', 'url', 'import', 'copy', 'tree', 'move', 'twin'] as const;
export type Kind = (typeof KINDS)[number];

/** Those whose bytes come from another drive. */
export const isFromDrive = ({ kind }: Job): boolean =>
  kind === 'copy' || kind === 'tree' || kind === 'move' || kind === 'twin';

export const JOB_NAME = /job-\d+-[a-z]+/;

export interface Job {
  readonly kind: Kind;
  readonly name: string;
  /** By path below the root of the target; of what comes from a drive, below `/sources` there too. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly target: string;
  /** Of what comes from a drive. */
  readonly source: string;
}

export interface JobsPlan {
  readonly transfers: number;
  readonly kills: number;
  readonly seed: number;
  /** Largest file, in bytes. */
  readonly bytesMax: number;
  /** Default all. */
  readonly kinds?: readonly Kind[];
}

/** Requests between the end of a job and a kill, and how many of them a job has at least, about. */
const KILL_STEPS_MAX = 25;
const JOB_STEPS = 4;

/** All jobs and kills of a seed. */
export function planOf(run: JobsPlan, drives: readonly string[], listless: ReadonlySet<string>) {
  const random = randomFrom(run.seed);
  const jobs = Array.from({ length: run.transfers }, (_, index) => makeJob(index, random, { run, drives, listless }));
  const stepsMax = Math.min(KILL_STEPS_MAX, JOB_STEPS * Math.ceil(run.transfers / (run.kills + 1)));
  const kills = Array.from(
    { length: run.kills },
    (_, index): PlannedKill => ({
      afterJobs: Math.floor((index * run.transfers) / (run.kills + 1)),
      afterSteps: Math.floor(random() * stepsMax),
      moment: random() < 0.5 ? 'before' : 'after',
    }),
  );
  return { jobs, kills };
}

interface Choices {
  readonly run: JobsPlan;
  readonly drives: readonly string[];
  /** Drives that list no folder: none is copied from there. */
  readonly listless: ReadonlySet<string>;
}

function makeJob(index: number, random: () => number, { run, drives, listless }: Choices): Job {
  // Each kind meets each drive, whatever their numbers.
  const { kinds = KINDS } = run;
  const kind = kinds[index % kinds.length] as Kind;
  const target = drives[(index + Math.floor(index / kinds.length)) % drives.length] ?? '';
  const others = drives.filter((drive) => drive !== target && !(kind === 'tree' && listless.has(drive)));
  const source = others[Math.floor(random() * others.length)] ?? '';
  const name = `job-${index}-${kind}`;
  const bytes = (): Buffer =>
    madeBytes(1 + Math.floor(random() ** 3 * run.bytesMax), `${run.seed}/${index}/${random()}`);
  if (kind !== 'tree') {
    const content = kind === 'text' ? Buffer.from(bytes().subarray(0, 40_000).toString('base64')) : bytes();
    return { kind, name, target, source, files: new Map([[`/${name}`, content]]) };
  }
  const files = ['a', 'b', 'sub/c', 'sub/d'].map((path) => [`/${name}/${path}`, bytes()] as const);
  return { kind, name, target, source, files: new Map(files) };
}

/** The same for the same text, and not like any others. */
function madeBytes(length: number, text: string): Buffer {
  const key = createHash('sha256').update(text).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}
