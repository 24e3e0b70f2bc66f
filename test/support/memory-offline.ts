import { createHash } from 'node:crypto';
import type {
  DriveOfflineTask,
  DriveTorrent,
  OfflineAllowance,
  OfflineClearScope,
  OfflineTasks,
} from '../../src/drives/contract/offline.ts';
import { OFFLINE_SCHEMES } from '../../src/drives/contract/offline.ts';
import type { DriveError, DriveErrorCategory } from '../../src/drives/errors.ts';

/** What the provider of a test has as offline tasks: for a test to change as the provider itself, or somebody elsewhere, would. */
export interface OfflineDesk {
  readonly tasks: Map<string, DriveOfflineTask>;
  /** Links that the provider does not take, and why. */
  readonly refusals: Map<string, DriveError>;
  /** The links of each act of adding, in order. */
  readonly added: string[][];
  /** The folder of each act of adding, in order. */
  readonly folders: (string | null)[];
  /** What was ended, with its files or without. */
  readonly cancelled: { readonly ref: string; readonly deleteFiles: boolean }[];
  readonly cleared: OfflineClearScope[];
  /** The acts of adding a torrent, in order. */
  readonly torrents: {
    readonly fileRef: string;
    readonly indexes: readonly number[] | null;
    readonly parentRef: string | null;
  }[];
  /** Has files of this name be a torrent of two files, of which the second is small and not preselected. */
  holdTorrent(name: string): DriveTorrent;
  allowance: OfflineAllowance;
  /** Changes what a task is; gives it. */
  change(ref: string, changes: Partial<DriveOfflineTask>): DriveOfflineTask;
}

export interface OfflineDeskOptions {
  /** Default 3. */
  readonly urlsMax?: number;
  /** Default all. */
  readonly schemes?: OfflineTasks['schemes'];
}

/** What the desk takes of its drive. */
interface Holder {
  begin(act: string): void;
  /** Called when the act is done, and before its answer: the answer may be lost. */
  end(act: string): void;
  fault(category: DriveErrorCategory, message: string, existingRef?: string): DriveError;
}

export function offlineDesk(
  { urlsMax = 3, schemes = OFFLINE_SCHEMES }: OfflineDeskOptions,
  { begin, end, fault }: Holder,
): OfflineDesk & { readonly acts: OfflineTasks } {
  const tasks = new Map<string, DriveOfflineTask>();
  const refusals = new Map<string, DriveError>();
  const added: string[][] = [];
  let begun = 0;

  const find = (ref: string): DriveOfflineTask => {
    const task = tasks.get(ref);
    if (!task) throw fault('not_found', 'There is no such offline task at the provider.');
    return task;
  };
  const held = new Map<string, DriveTorrent>();
  const torrentOf = (fileRef: string): DriveTorrent => {
    const torrent = held.get(/^ref\/(.*):\d+$/.exec(fileRef)?.[1] ?? '');
    if (!torrent) throw fault('not_found', 'There is no such torrent on the drive.');
    return torrent;
  };
  const start = (
    url: string | null,
    parentRef: string | null,
    name: string,
    ref: string | null = null,
  ): DriveOfflineTask => {
    begun += 1;
    const task: DriveOfflineTask = {
      ref: ref ?? `task/${begun}`,
      name,
      url,
      state: 'RUNNING',
      percentDone: 0,
      sizeBytes: null,
      addedAt: null,
      updatedAt: null,
      entryRef: null,
      parentRef,
      filesRef: null,
      failure: null,
    };
    tasks.set(task.ref, task);
    return task;
  };
  const desk: OfflineDesk = {
    tasks,
    refusals,
    added,
    folders: [],
    cancelled: [],
    cleared: [],
    torrents: [],
    holdTorrent: (name) => {
      const torrent: DriveTorrent = {
        taskRef: createHash('sha1').update(name).digest('hex'),
        name: `Content of ${name}`,
        sizeBytes: 5010,
        files: [
          { index: 0, path: 'film.mkv', sizeBytes: 5000, preselected: true },
          { index: 1, path: 'extras/sample.mkv', sizeBytes: 10, preselected: false },
        ],
      };
      held.set(name, torrent);
      return torrent;
    },
    allowance: { total: 10, used: 0, remaining: 10, packages: [] },
    change: (ref, changes) => {
      const changed = { ...find(ref), ...changes };
      tasks.set(ref, changed);
      return changed;
    },
  };
  const acts: OfflineTasks = {
    urlsMax,
    schemes,
    async add(urls, parentRef) {
      begin('offline.add');
      if (urls.length > urlsMax) throw fault('invalid_argument', 'Too many links.');
      added.push([...urls]);
      desk.folders.push(parentRef);
      const results = urls.map((url) => {
        const existing = [...tasks.values()].find((task) => task.url === url);
        const error =
          refusals.get(url) ?? (existing && fault('already_exists', 'That is a task already.', existing.ref)) ?? null;
        return { url, task: error ? null : start(url, parentRef, nameOf(url)), error };
      });
      end('offline.add');
      return results;
    },
    async readTorrent(fileRef) {
      begin('offline.readTorrent');
      return torrentOf(fileRef);
    },
    async addTorrent(fileRef, indexes, parentRef) {
      begin('offline.addTorrent');
      const { taskRef, name } = torrentOf(fileRef);
      if (tasks.has(taskRef)) throw fault('already_exists', 'That is a task already.');
      desk.torrents.push({ fileRef, indexes, parentRef });
      const task = start(null, parentRef, name, taskRef);
      end('offline.addTorrent');
      return task;
    },
    async list({ cursor, limit }) {
      begin('offline.list');
      const all = [...tasks.values()].toReversed();
      const from = cursor === null ? 0 : Number(cursor);
      const to = from + limit;
      return {
        items: all.slice(from, to),
        nextCursor: to < all.length ? String(to) : null,
        totalCount: all.length,
      };
    },
    async stat(ref) {
      begin('offline.stat');
      // As a provider does that follows a task by its id only.
      return { ...find(ref), name: null, url: null, sizeBytes: null, entryRef: null, parentRef: null };
    },
    async cancel(ref, { deleteFiles }) {
      begin('offline.cancel');
      find(ref);
      desk.cancelled.push({ ref, deleteFiles });
      tasks.delete(ref);
    },
    async clear(scope) {
      begin('offline.clear');
      desk.cleared.push(scope);
      const [state] = scope.split('_');
      for (const task of [...tasks.values()]) {
        if (state === 'ALL' || state === (task.state === 'PENDING' ? 'RUNNING' : task.state)) tasks.delete(task.ref);
      }
    },
    async allowance() {
      begin('offline.allowance');
      return desk.allowance;
    },
  };
  return Object.assign(desk, { acts });
}

const nameOf = (url: string): string => url.split('/').at(-1) || url;
