import { z } from 'zod';
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
  info: z.array(z.object({ errno: z.coerce.number() })).optional(),
  taskid: z.union([z.string(), z.number()]).optional(),
});
const TASK = z.object({
  status: z.string(),
  task_errno: z.coerce.number().optional(),
  list: z.array(z.object({ error_code: z.coerce.number().optional() })).optional(),
});

export type Opera = 'copy' | 'move' | 'rename' | 'delete';

/** Changes one entry, and returns when that is done. @throws DriveError with what Baidu says about the entry itself */
export async function manage(
  baidu: BaiduClient,
  opera: Opera,
  item: unknown,
  ondup: 'fail' | 'newcopy' | 'overwrite' | null,
  call: CallContext,
): Promise<void> {
  const form = { async: ADAPTIVE, filelist: JSON.stringify([item]), ondup };
  const query = { method: 'filemanager', opera };
  const { info = [], taskid } = await baidu.post(MANAGED, 'filemanager', { url: XPAN_FILE, query, form }, call);
  refuseFailed(info.map(({ errno }) => errno));
  if (taskid !== undefined && String(taskid) !== '0') await finished(baidu, String(taskid), call);
}

/** Waits for a task that a change left behind. @throws DriveError with what it failed of */
export async function finished(baidu: BaiduClient, taskid: string, call: CallContext): Promise<void> {
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    await sleep(baidu.timer, POLLS_MS[polls] ?? POLLS_MS.at(-1) ?? 0, call.signal);
    const task = await baidu.get(TASK, 'taskquery', '/share/taskquery', { taskid }, call);
    if (task.status !== 'success' && task.status !== 'failed') continue;
    refuseFailed([...(task.list ?? []).map(({ error_code = 0 }) => error_code), task.task_errno ?? 0]);
    if (task.status === 'failed') throw baiduError('unavailable', 'could not finish this.', null, {});
    return;
  }
  throw baiduError('timeout', 'is still at work on this. Look at the folder later.', null, {}).spent();
}

function refuseFailed(codes: readonly number[]): void {
  const failed = codes.find((code) => code !== 0);
  if (failed !== undefined) throw itemError(failed, 'filemanager');
}
