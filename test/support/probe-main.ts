/** The program itself, with the fields of probe-fields.ts: for tests that send it signals. */
import { setTimeout as wait } from 'node:timers/promises';
import { probe } from './probe-fields.ts';

probe.slow = async () => {
  process.stdout.write(`${JSON.stringify({ msg: 'slow began' })}\n`);
  await wait(Number(process.env.PROBE_SLOW_MS), undefined);
  return 'done';
};
const { start } = await import('../../src/start.ts');
await start(process.env);
