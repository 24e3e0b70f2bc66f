import type { Fields } from './wire.ts';
import type { User, World } from './world.ts';

/** Work that a user's call left behind. The service does one at a time for each user. */
export interface Task {
  readonly id: string;
  readonly kind: 'file' | 'share' | 'recycle';
  readonly startedMs: number;
  readonly run: () => TaskOutcome;
  polls: number;
  outcome: TaskOutcome | null;
}

export interface TaskOutcome {
  /** 0, or why the task failed. */
  readonly errno: number;
  readonly list: readonly Fields[];
}

export function startTask(world: World, user: User, kind: Task['kind'], run: () => TaskOutcome): Task {
  const id = String(700_000_000_000_000 + world.serial());
  const task: Task = { id, kind, startedMs: world.nowMs, run, polls: 0, outcome: null };
  user.tasks.set(id, task);
  return task;
}

/** True while a task of this user runs. */
export function isBusy(world: World, user: User): boolean {
  return [...user.tasks.values()].some((task) => {
    settle(world, task);
    return task.outcome === null;
  });
}

/** Counts a poll, and tells how far the task is. */
export function pollTask(world: World, task: Task): { readonly status: string; readonly progress?: number } {
  if (!world.settings.holdTasks) task.polls += 1;
  settle(world, task);
  if (task.outcome) return { status: task.outcome.errno === 0 ? 'success' : 'failed' };
  if (task.polls <= 1) return { status: 'pending' };
  return { status: 'running', progress: Math.min(99, Math.floor((100 * task.polls) / world.settings.taskPolls)) };
}

function settle(world: World, task: Task): void {
  const { holdTasks, taskPolls, taskMs } = world.settings;
  if (task.outcome || holdTasks) return;
  if (task.polls < taskPolls && world.nowMs - task.startedMs < taskMs) return;
  task.outcome = task.run();
}
