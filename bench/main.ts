import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { duration } from '../demo/format.ts';
import type { Bench } from './bench.ts';
import { downloads } from './downloads.ts';
import { graphql } from './graphql.ts';
import { listing } from './listing.ts';
import { memory } from './memory.ts';
import { pinLoad } from './pinning.ts';
import { asMarkdown, asText, machineFacts, type Outcome } from './report.ts';
import { subscriptions } from './subscriptions.ts';
import { uploads } from './uploads.ts';

const BENCHES: readonly Bench[] = [uploads, downloads, graphql, listing, subscriptions, memory];
/** A bench that takes longer has met a fault. */
const BENCH_MS_MAX = 180_000;

const HELP = `npm run bench -- [name …] [--quick]

  name     one or more of: ${BENCHES.map(({ name }) => name).join(', ')}; all when left out
  --quick  fewer bytes and rounds: to see that it works

A run of all writes bench/RESULTS.md, unless it was quick.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
});
const unknown = positionals.filter((name) => !BENCHES.some((bench) => bench.name === name));

if (values.help || unknown.length > 0) {
  process.stdout.write(unknown.length > 0 ? `There is no bench ${unknown.join(', ')}.\n\n${HELP}` : HELP);
  process.exitCode = values.help ? 0 : 2;
} else await main();

async function main(): Promise<void> {
  const { quick } = values;
  const startedMs = performance.now();
  const facts = machineFacts(pinLoad());
  process.stdout.write(`${facts}\n\n`);
  const stopping = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopping.abort(new Error('Stopped.')));

  const folder = await mkdtemp(join(tmpdir(), 'panql-bench-'));
  const outcomes: Outcome[] = [];
  try {
    for (const bench of BENCHES) {
      if (positionals.length > 0 && !positionals.includes(bench.name)) continue;
      const own = join(folder, bench.name);
      await mkdir(own);
      const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(BENCH_MS_MAX)]);
      const result = await bench.run({ folder: own, quick, signal }).catch((error: unknown) => error);
      await rm(own, { recursive: true, force: true });
      stopping.signal.throwIfAborted();
      if (result instanceof Error) {
        process.exitCode = 1;
        process.stderr.write(`${bench.title}: ${result.stack}\n\n`);
        continue;
      }
      const outcome = { bench, result } as Outcome;
      outcomes.push(outcome);
      process.stdout.write(`${asText(outcome)}\n`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  process.stdout.write(`Took ${duration(performance.now() - startedMs)}.\n`);
  if (quick || positionals.length > 0 || outcomes.length < BENCHES.length) return;
  await writeFile(new URL('RESULTS.md', import.meta.url), asMarkdown(outcomes, facts, quick));
}
