import { z } from 'zod';
import type { DriveError } from '../../lib/drive-error.ts';
import { sleep } from '../../lib/timer.ts';
import type { CallContext } from '../driver.ts';
import type { BaiduClient } from './client.ts';
import { XPAN_FILE } from './client.ts';
import { baiduError, itemError } from './errors.ts';

/** Baidu decides whether it answers at once or leaves a task behind. */
const ADAPTIVE = 1;
/** Waits between looks at a task, the last one repeated, in milliseconds. */
const POLLS_MS = [1_000, 2_000, 5_000];
/** Looks at one task: about eight minutes, within what the act may take. */
const POLLS_MAX = 100;

const MANAGED = z.object({
  info: z.array(z.object({ errno: z.coerce.number(), path: z.string().optional() })).optional(),
  taskid: z.union([z.string(), z.number()]).optional(),
});
const TASK = z.object({
  status: z.string(),
  task_errno: z.coerce.number().optional(),
  list: z.array(z.object({ from: z.string().optional(), error_code: z.coerce.number().optional() })).optional(),
});
type Task = z.infer<typeof TASK>;

export type Opera = 'copy' | 'move' | 'rename' | 'delete';

type Ondup = 'fail' | 'newcopy' | 'overwrite' | null;

/** Changes one entry, and returns when that is done. @throws DriveError with what Baidu says about the entry itself */
export async function manage(
  baidu: BaiduClient,
  opera: Opera,
  item: unknown,
  ondup: Ondup,
  call: CallContext,
): Promise<void> {
  const { info = [], taskid } = await send(baidu, opera, [item], ondup, call);
  refuseFailed(info.map(({ errno }) => errno));
  if (isTask(taskid)) await finished(baidu, String(taskid), call);
}

/**
 * Changes several entries, and returns when that is done. Gives by path why Baidu did not change an entry. What it does
 * not say of an entry, or of the whole, is not there: it is to be looked at.
 */
export async function manageMany(
  baidu: BaiduClient,
  opera: Opera,
  items: readonly { readonly path: string }[],
  ondup: Ondup,
  call: CallContext,
): Promise<ReadonlyMap<string, DriveError>> {
  const { info = [], taskid } = await send(baidu, opera, items, ondup, call);
  const task = isTask(taskid) ? await ended(baidu, String(taskid), call) : null;
  const told = [
    ...info.map(({ errno, path }) => [path, errno] as const),
    ...(task?.list ?? []).map(({ from, error_code = 0 }) => [from, error_code] as const),
  ];
  return new Map(
    told.flatMap(([path, code]) =>
      path === undefined || code === 0 ? [] : [[path, itemError(code, 'filemanager')] as const],
    ),
  );
}

function send(baidu: BaiduClient, opera: Opera, items: readonly unknown[], ondup: Ondup, call: CallContext) {
  const form = { async: ADAPTIVE, filelist: JSON.stringify(items), ondup };
  const query = { method: 'filemanager', opera };
  return baidu.post(MANAGED, 'filemanager', { url: XPAN_FILE, query, form }, call);
}

const isTask = (taskid: string | number | undefined): boolean => taskid !== undefined && String(taskid) !== '0';

/** Waits for a task that a change left behind. @throws DriveError with what it failed of */
export async function finished(baidu: BaiduClient, taskid: string, call: CallContext): Promise<void> {
  const task = await ended(baidu, taskid, call);
  refuseFailed([...(task.list ?? []).map(({ error_code = 0 }) => error_code), task.task_errno ?? 0]);
  if (task.status === 'failed') throw baiduError('unavailable', 'could not finish this.', null, {});
}

/** The task when it has ended, well or not. */
async function ended(baidu: BaiduClient, taskid: string, call: CallContext): Promise<Task> {
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    await sleep(baidu.timer, POLLS_MS[polls] ?? POLLS_MS.at(-1) ?? 0, call.signal);
    const task = await baidu.get(TASK, 'taskquery', '/share/taskquery', { taskid }, call);
    if (task.status === 'success' || task.status === 'failed') return task;
  }
  throw baiduError('timeout', 'is still at work on this. Look at the folder later.', null, {}).spent();
}

function refuseFailed(codes: readonly number[]): void {
  const failed = codes.find((code) => code !== 0);
  if (failed !== undefined) throw itemError(failed, 'filemanager');
}
