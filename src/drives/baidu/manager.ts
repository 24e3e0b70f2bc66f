import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import { sleep } from '../../lib/timer.ts';
import type { CallContext } from '../driver.ts';
import { type BaiduClient, isMissing, XPAN_FILE } from './client.ts';
import { baiduError, itemError } from './errors.ts';

/** Baidu decides whether it answers at once or leaves a task behind. */
const ADAPTIVE = 1;
/** Waits between looks at a task, the last one repeated, in milliseconds. */
const POLLS_MS = [1_000, 2_000, 5_000];
/** Looks at one task: about eight minutes, within what the act may take. */
const POLLS_MAX = 100;
/** Waits for a task that another program left behind, after those of the transport (2 s each), in milliseconds. */
const BUSY_WAITS_MS = [5_000, 10_000];
const BUSY = '111';
/** Of an application that may not ask about tasks, in place of an answer. */
const NO_TASK_QUERY: ReadonlySet<string> = new Set(['permission_denied', 'unsupported', 'invalid_argument']);

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

/** Whether it has been done, by what is there now; null: that does not show. */
type IsDone = (() => Promise<boolean>) | null;

export interface Change {
  readonly opera: Opera;
  readonly item: unknown;
  readonly ondup: Ondup;
  readonly isDone: IsDone;
}

/** Changes one entry, and returns when that is done. @throws DriveError with what Baidu says about the entry itself */
export const manage = (baidu: BaiduClient, { opera, item, ondup, isDone }: Change, call: CallContext): Promise<void> =>
  oneTask(baidu, call, async () => {
    const { info = [], taskid } = await send(baidu, opera, [item], ondup, call);
    refuseFailed(info.map(({ errno }) => errno));
    if (isTask(taskid)) await finished(baidu, String(taskid), isDone, call);
  });

/**
 * Changes several entries, and returns when that is done. Gives by path why Baidu did not change an entry. What it does
 * not say of an entry, or of the whole, is not there: it is to be looked at.
 */
export const manageMany = (
  baidu: BaiduClient,
  opera: Opera,
  items: readonly { readonly path: string }[],
  ondup: Ondup,
  call: CallContext,
): Promise<ReadonlyMap<string, DriveError>> =>
  oneTask(baidu, call, async () => {
    const { info = [], taskid } = await send(baidu, opera, items, ondup, call);
    const task = isTask(taskid) ? await ended(baidu, String(taskid), null, call) : null;
    const told = [
      ...info.map(({ errno, path }) => [path, errno] as const),
      ...(task?.list ?? []).map(({ from, error_code = 0 }) => [from, error_code] as const),
    ];
    return new Map(
      told.flatMap(([path, code]) =>
        path === undefined || code === 0 ? [] : [[path, itemError(code, 'filemanager')] as const],
      ),
    );
  });

function send(baidu: BaiduClient, opera: Opera, items: readonly unknown[], ondup: Ondup, call: CallContext) {
  const form = { async: ADAPTIVE, filelist: JSON.stringify(items), ondup };
  const query = { method: 'filemanager', opera };
  return baidu.post(MANAGED, 'filemanager', { url: XPAN_FILE, query, form }, call);
}

export const isTask = (taskid: string | number | undefined): boolean => taskid !== undefined && String(taskid) !== '0';

/** Does it when no other task of the account is at work: neither one of this server's nor, for a while, another's. */
export async function oneTask<Result>(
  baidu: BaiduClient,
  call: CallContext,
  act: () => Promise<Result>,
): Promise<Result> {
  const end = await baidu.taskTurn(call);
  try {
    for (const waitMs of BUSY_WAITS_MS) {
      try {
        return await act();
      } catch (error) {
        if (!(error instanceof DriveError) || error.providerCode !== BUSY || error.category !== 'unavailable')
          throw error;
        await sleep(baidu.timer, waitMs, call.signal);
      }
    }
    return await act();
  } finally {
    end();
  }
}

/** Waits for a task that a change left behind. @throws DriveError with what it failed of */
export async function finished(baidu: BaiduClient, taskid: string, isDone: IsDone, call: CallContext): Promise<void> {
  const task = await ended(baidu, taskid, isDone, call);
  refuseFailed([...(task.list ?? []).map(({ error_code = 0 }) => error_code), task.task_errno ?? 0]);
  if (task.status === 'failed') throw baiduError('unavailable', 'could not finish this.', null, {});
}

/** The task when it has ended, well or not. */
async function ended(baidu: BaiduClient, taskid: string, isDone: IsDone, call: CallContext): Promise<Task> {
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    await sleep(baidu.timer, POLLS_MS[polls] ?? POLLS_MS.at(-1) ?? 0, call.signal);
    const task = await stateOf(baidu, taskid, isDone, call);
    if (task.status === 'success' || task.status === 'failed') return task;
  }
  throw baiduError('timeout', 'is still at work on this. Look at the folder later.', null, {}).spent();
}

/** No document promises this call to applications: where it is refused, what is there now tells. */
async function stateOf(baidu: BaiduClient, taskid: string, isDone: IsDone, call: CallContext): Promise<Task> {
  try {
    return await baidu.get(TASK, 'taskquery', '/share/taskquery', { taskid }, call);
  } catch (error) {
    const isRefused = error instanceof DriveError && (NO_TASK_QUERY.has(error.category) || isMissing(error));
    if (!isRefused || !isDone) throw error;
    return { status: (await isDone()) ? 'success' : 'running' };
  }
}

function refuseFailed(codes: readonly number[]): void {
  const failed = codes.find((code) => code !== 0);
  if (failed !== undefined) throw itemError(failed, 'filemanager');
}
