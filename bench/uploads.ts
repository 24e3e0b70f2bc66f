import { execFile } from 'node:child_process';
import { open, rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench, BenchContext, BenchResult } from './bench.ts';
import { compare, interleave, type Measure, type Sample, timed } from './measure.ts';
import { type ControlServer, type OurServer, startControl, startOurs } from './processes.ts';
import { MIB, sendChunks, sendFile } from './tus-client.ts';

const MEASURES: readonly Measure[] = [
  { key: 'answered', title: 'until the last byte is answered', unit: 'MB/s' },
  { key: 'kept', title: 'until the file is whole and on the disk', unit: 'MB/s' },
  { key: 'cpuMs', title: 'CPU of the server for each GB', unit: 'ms' },
];

/** Uploads by tus, against `@tus/server` alone. */
export const uploads: Bench = {
  name: 'uploads',
  title: 'Uploads',
  about:
    'A file by tus in chunks of 8 MiB over one connection, against `@tus/server` with `@tus/file-store` alone on the same disk. The control writes what comes and no more; PanQL also hashes, syncs each chunk before it answers, tells the progress, and puts the file into a drive. For the second figure the control syncs its file once, at the end.',
  control: '@tus/server',
  run: runUploads,
};

async function runUploads(context: BenchContext): Promise<BenchResult> {
  const { quick, signal } = context;
  const fileBytes = (quick ? 64 : 1024) * MIB;
  await using stack = new AsyncDisposableStack();
  const ours = await startOurs(context);
  stack.defer(() => ours.stop());
  const control = await startControl('tus', context);
  stack.defer(() => control.stop());
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  stack.defer(() => agent.destroy());

  const samples = await interleave(
    quick ? 1 : 3,
    (round) => uploadOurs(ours, `file-${round}`, fileBytes, agent, signal),
    () => uploadControl(control, fileBytes, agent, signal),
  );
  return { comparisons: compare(MEASURES, samples), notes: [`${fileBytes / MIB} MiB in each round.`] };
}

async function uploadOurs(
  ours: OurServer,
  name: string,
  fileBytes: number,
  agent: Agent,
  signal: AbortSignal,
): Promise<Sample> {
  const { result, ms, cpuMs } = await timed(ours.pid, () => sendFile(ours, name, fileBytes, agent, signal));
  await settleDisk();
  return sample(fileBytes, result.answeredMs, ms, cpuMs);
}

async function uploadControl(
  { url, pid, dataDir }: ControlServer,
  fileBytes: number,
  agent: Agent,
  signal: AbortSignal,
): Promise<Sample> {
  const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Length': String(fileBytes) };
  const created = await fetch(`${url}/files`, { method: 'POST', headers, signal });
  const location = new URL(created.headers.get('location') ?? '', url).href;
  const path = join(dataDir, basename(location));
  const { result, ms, cpuMs } = await timed(pid, async () => {
    const answeredMs = await sendChunks(location, fileBytes, agent, signal);
    await using file = await open(path, 'r+');
    await file.sync();
    return answeredMs;
  });
  await rm(path);
  await settleDisk();
  return sample(fileBytes, result, ms, cpuMs);
}

const sample = (fileBytes: number, answeredMs: number, keptMs: number, cpuMs: number): Sample => ({
  answered: fileBytes / 1e3 / answeredMs,
  kept: fileBytes / 1e3 / keptMs,
  cpuMs: cpuMs / (fileBytes / 1e9),
});

/** What one side has left to write must not slow the other down. */
const settleDisk = async (): Promise<void> => void (await promisify(execFile)('sync'));
