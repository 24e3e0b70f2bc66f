import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** With one core for the server and another for the load, neither takes time from the other. Linux can, with two cores. */
const canPin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;

/** What a server is started with, to stay on the first core. */
export const SERVER_PINNED: readonly string[] = canPin ? ['taskset', '--cpu-list', '0'] : [];

/** Keeps this process, which makes the load, and its children off the servers' core. */
export function pinLoad(): boolean {
  if (!canPin) return false;
  const others = `1-${availableParallelism() - 1}`;
  return spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', others, String(process.pid)]).status === 0;
}
