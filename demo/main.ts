import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runDemo } from './story.ts';

const HELP = `npm run demo -- [file] [--mib <n>] [--local] [--keep]

  file       uploaded instead of one that is made
  --mib <n>  how large a file to make, in MiB; 64 when left out
  --local    the built-in drive alone, without the imitations of clouds
  --keep     leaves the server running until Ctrl-C, with a URL of GraphiQL and a token
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    mib: { type: 'string', default: '64' },
    local: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (values.help) process.stdout.write(HELP);
else await main();

async function main(): Promise<void> {
  const mebibytes = Number(values.mib);
  if (!(mebibytes > 0)) {
    process.stderr.write(`--mib must be a number above 0.\n\n${HELP}`);
    process.exitCode = 2;
    return;
  }

  const stopping = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => stopping.abort(name));
  }
  const folder = await mkdtemp(join(tmpdir(), 'panql-demo-'));
  try {
    await runDemo({
      folder,
      path: positionals[0] ?? null,
      sizeBytes: Math.round(mebibytes * 1024 * 1024),
      clouds: !values.local,
      keep: values.keep,
      signal: stopping.signal,
    });
  } catch (error) {
    const { aborted, reason } = stopping.signal;
    process.exitCode = aborted ? 128 + constants.signals[reason as 'SIGINT' | 'SIGTERM'] : 1;
    process.stderr.write(aborted ? '\nStopped.\n' : `\nFailed: ${reasonOf(error)}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** fetch says only that it failed; why is in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
