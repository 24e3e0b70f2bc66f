import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type {
  DriveOfflineTask,
  DriveTorrent,
  OfflineAddResult,
  OfflineClearScope,
  OfflineTasks,
} from '../contract/offline.ts';
import type { CallContext } from '../driver.ts';
import { encodeCursor } from '../shared/paging.ts';
import { ACCEPTED, type Pan115Client } from './client.ts';
import { invalid, isTrue, itemError, notFound, pan115Error } from './errors.ts';
import { pageLimit, placeIn } from './listing.ts';
import { dateOf, listOf, objectOf, REF, ROOT_REF } from './wire.ts';

/** Links in one call; more are refused (1000011). */
const URLS_MAX = 115;
/** Pages of tasks that are looked through for those that are there already. */
const LOOKUP_PAGES_MAX = 10;

const FLAGS: Readonly<Record<OfflineClearScope, number>> = {
  SUCCEEDED: 0,
  ALL: 1,
  FAILED: 2,
  RUNNING: 3,
  SUCCEEDED_WITH_FILES: 4,
  ALL_WITH_FILES: 5,
};
const RUNNING = 1;
const STATES: Readonly<Record<number, DriveOfflineTask['state']>> = {
  [-1]: 'FAILED',
  0: 'PENDING',
  1: 'RUNNING',
  2: 'SUCCEEDED',
};

const PLACE = z.tuple([z.string(), z.int().min(1), z.int().min(0)]);

const ID = z
  .union([z.string(), z.number().transform(String)])
  .optional()
  .catch(undefined);
const COUNT = z.coerce.number().min(0).catch(0);
const TASK = z.object({
  info_hash: z.string().min(1),
  add_time: z.coerce.number().optional().catch(undefined),
  percentDone: z.coerce.number().catch(0),
  size: z.coerce.number().min(0).optional().catch(undefined),
  name: z.coerce.string().optional(),
  last_update: z.coerce.number().optional().catch(undefined),
  file_id: ID,
  delete_file_id: ID,
  /** Not told: what it has done so far says whether it is at its end. */
  status: z.coerce.number().catch(RUNNING),
  url: z.string().optional().catch(undefined),
  wp_path_id: ID,
});
type Task = z.infer<typeof TASK>;
const TASKS = z.object({
  data: objectOf(z.object({ page_count: COUNT, count: COUNT, tasks: listOf(TASK) })),
});

const ADDED = z.object({
  data: listOf(
    z.object({
      state: z.unknown(),
      code: z.union([z.string(), z.number().transform(String)]).catch('0'),
      message: z.coerce.string().catch(''),
      info_hash: z.string().optional().catch(undefined),
      url: z.string().optional().catch(undefined),
    }),
  ),
});
type Added = z.infer<typeof ADDED>['data'][number];

const QUOTA = z.object({ count: COUNT, used: COUNT, surplus: COUNT });
const EXPIRY = z.object({ surplus: COUNT, expire_time: z.coerce.number().optional().catch(undefined) });
const ALLOWANCE = z.object({
  data: objectOf(
    QUOTA.extend({ package: listOf(QUOTA.extend({ name: z.coerce.string(), expire_info: listOf(EXPIRY) })) }),
  ),
});

const TORRENT = z.object({
  data: objectOf(
    z.object({
      info_hash: z.string().min(1),
      torrent_name: z.coerce.string(),
      file_size: z.coerce.number().min(0).optional().catch(undefined),
      torrent_filelist: listOf(
        z.object({
          path: z.coerce.string(),
          size: z.coerce.number().min(0).optional().catch(undefined),
          wanted: z.coerce.number().catch(0),
        }),
      ),
    }),
  ),
});

/** What 115 downloads by itself. A task is named by the hash of what it brings. */
export const createOffline = (pan115: Pan115Client): OfflineTasks => ({
  urlsMax: URLS_MAX,
  schemes: ['http', 'https', 'ftp', 'magnet', 'ed2k'],

  async add(urls, parentRef, call) {
    if (urls.length === 0) return [];
    if (urls.length > URLS_MAX) throw invalid(`takes up to ${URLS_MAX} links at once.`);
    // A line is a link.
    if (urls.some((url) => url.trim() === '' || /[\r\n]/.test(url))) throw invalid('takes links of one line each.');
    checkFolder(parentRef);
    const form = { urls: urls.join('\n'), wp_path_id: parentRef };
    let answers: readonly Added[];
    try {
      answers = (await pan115.post(ADDED, 'offline.add', { url: '/open/offline/add_task_urls', form }, call)).data;
    } catch (error) {
      // What is wrong with the only link is said of the whole.
      if (!(error instanceof DriveError) || urls.length > 1 || !ABOUT_LINKS.has(error.category)) throw error;
      answers = [{ state: false, code: error.providerCode ?? '0', message: '', url: urls[0] }];
    }
    const results = inOrder(urls, answers).map((answer, index) => resultOf(urls[index] ?? '', answer, parentRef));
    return withExisting(pan115, results, call);
  },

  async list(page, call) {
    const limit = pageLimit(page);
    const [, number, index] = placeIn(page, PLACE, 'offline') ?? ['offline', 1, 0];
    const { tasks, page_count, count } = await tasksPage(pan115, number, call);
    const shown = tasks.slice(index, index + limit);
    const isCut = index + limit < tasks.length;
    const next = isCut ? [number, index + limit] : tasks.length > 0 && number < page_count ? [number + 1, 0] : null;
    return {
      items: shown.map(taskOf),
      nextCursor: next === null ? null : encodeCursor(['offline', ...next]),
      totalCount: count,
    };
  },

  async cancel(taskRef, { deleteFiles }, call) {
    checkTask(taskRef);
    const form = { info_hash: taskRef, del_source_file: deleteFiles ? 1 : 0 };
    await pan115.post(ACCEPTED, 'offline.cancel', { url: '/open/offline/del_task', form }, call);
  },

  async clear(scope, call) {
    const form = { flag: FLAGS[scope] };
    await pan115.post(ACCEPTED, 'offline.clear', { url: '/open/offline/clear_task', form, idempotent: true }, call);
  },

  async allowance(call) {
    const { data } = await pan115.get(ALLOWANCE, 'offline.quota', '/open/offline/get_quota_info', {}, call);
    return {
      ...amountsOf(data),
      packages: data.package.map((one) => ({
        name: one.name,
        ...amountsOf(one),
        expiresAt: firstEnd(one.expire_info),
      })),
    };
  },

  async readTorrent(fileRef, call) {
    return torrentOf((await torrent(pan115, fileRef, call)).data);
  },

  async addTorrent(fileRef, indexes, parentRef, call) {
    checkFolder(parentRef);
    const { data, sha1, pickCode } = await torrent(pan115, fileRef, call);
    const wanted = indexes ?? chosen(data.torrent_filelist);
    const isThere = (index: number): boolean => data.torrent_filelist[index] !== undefined;
    if (wanted.length === 0 || !wanted.every(isThere)) {
      throw invalid(`has a torrent of ${data.torrent_filelist.length} files there, of which some must be named.`);
    }
    const form = {
      info_hash: data.info_hash,
      wanted: wanted.join(','),
      // Below the folder: what it brings stays together.
      save_path: data.torrent_name.replaceAll('/', ' ').trim() || data.info_hash,
      torrent_sha1: sha1,
      pick_code: pickCode,
      wp_path_id: parentRef,
    };
    await pan115.post(ACCEPTED, 'offline.torrent.add', { url: '/open/offline/add_task_bt', form }, call);
    return begun({ ref: data.info_hash, name: data.torrent_name, url: null, parentRef });
  },
});

/** Categories that say something of a link, rather than of the provider or the account's sign-in. */
const ABOUT_LINKS: ReadonlySet<string> = new Set([
  'already_exists',
  'invalid_argument',
  'quota_exceeded',
  'blocked',
  'unexpected',
]);

/** The answers belong to the links by their address, and by their place where that was changed. */
function inOrder(urls: readonly string[], answers: readonly Added[]): (Added | null)[] {
  const left = [...answers];
  const byAddress = urls.map((url) => {
    const index = left.findIndex((answer) => answer.url === url);
    return index === -1 ? null : (left.splice(index, 1)[0] ?? null);
  });
  return byAddress.map((answer) => answer ?? left.shift() ?? null);
}

function resultOf(url: string, answer: Added | null, parentRef: string | null): OfflineAddResult {
  if (!answer) {
    const error = pan115Error('unavailable', 'did not say what became of this link.', null, { retryable: false });
    return { url, task: null, error };
  }
  if (isTrue(answer.state) && answer.info_hash) {
    return { url, task: begun({ ref: answer.info_hash, name: null, url, parentRef }), error: null };
  }
  return { url, task: null, error: itemError(answer.code, answer.message) };
}

/** Of links that are tasks already, the task: by the hash in the link, or by the link. */
async function withExisting(
  pan115: Pan115Client,
  results: readonly OfflineAddResult[],
  call: CallContext,
): Promise<readonly OfflineAddResult[]> {
  const isTaken = ({ error }: OfflineAddResult): boolean => error?.category === 'already_exists';
  if (!results.some(isTaken)) return results;
  const known = new Map<string, string>();
  for (const { url, task } of results) if (task) known.set(url, task.ref);
  const isFound = ({ url }: OfflineAddResult): boolean => known.has(hashIn(url) ?? url);
  for (let number = 1; number <= LOOKUP_PAGES_MAX && !results.filter(isTaken).every(isFound); number += 1) {
    const { tasks, page_count } = await tasksPage(pan115, number, call);
    for (const { info_hash, url } of tasks) {
      known.set(info_hash.toLowerCase(), info_hash);
      if (url) known.set(url, info_hash);
    }
    if (number >= page_count) break;
  }
  return results.map((result) => {
    const existingRef = known.get(hashIn(result.url) ?? result.url);
    if (!result.error || !isTaken(result) || existingRef === undefined) return result;
    const { error } = result;
    return { ...result, error: new DriveError(error.category, error.message, { ...error, existingRef, cause: error }) };
  });
}

const hashIn = (url: string): string | null => /btih:([0-9a-f]{40})/i.exec(url)?.[1]?.toLowerCase() ?? null;

const tasksPage = async (pan115: Pan115Client, page: number, call: CallContext) =>
  (await pan115.get(TASKS, 'offline.list', '/open/offline/get_task_list', { page }, call)).data;

const begun = ({
  ref,
  name,
  url,
  parentRef,
}: Pick<DriveOfflineTask, 'ref' | 'name' | 'url' | 'parentRef'>): DriveOfflineTask => ({
  ref,
  name,
  url,
  state: 'PENDING',
  percentDone: 0,
  sizeBytes: null,
  addedAt: null,
  updatedAt: null,
  entryRef: null,
  parentRef: parentRef ?? ROOT_REF,
  filesRef: null,
  failure: null,
});

function taskOf(task: Task): DriveOfflineTask {
  const percentDone = Math.min(100, Math.max(0, task.percentDone));
  const told = STATES[task.status] ?? 'RUNNING';
  const state = told === 'RUNNING' && percentDone === 100 ? 'SUCCEEDED' : told;
  const entryRef = state === 'SUCCEEDED' ? refOf(task.file_id) : null;
  const filesRef = refOf(task.delete_file_id);
  return {
    ref: task.info_hash,
    name: task.name || null,
    url: task.url || null,
    state,
    percentDone: state === 'SUCCEEDED' ? 100 : percentDone,
    // 0 until it is known.
    sizeBytes: task.size || null,
    addedAt: dateOf(task.add_time),
    updatedAt: dateOf(task.last_update),
    entryRef,
    parentRef: task.wp_path_id || null,
    filesRef: filesRef === entryRef ? null : filesRef,
    failure: state === 'FAILED' ? { providerCode: null, message: '115 could not download this.' } : null,
  };
}

const refOf = (id: string | undefined): string | null => (id !== undefined && REF.test(id) ? id : null);

/** What is left of a package may end at several times: told is the first of them. */
function firstEnd(parts: readonly z.infer<typeof EXPIRY>[]): Date | null {
  const ends = parts.flatMap(({ surplus, expire_time }) => (surplus > 0 && expire_time ? [expire_time] : []));
  return ends.length === 0 ? null : dateOf(Math.min(...ends));
}

const amountsOf = ({ count, used, surplus }: z.infer<typeof QUOTA>) => ({ total: count, used, remaining: surplus });

/** A torrent file of the drive, as 115 reads it. */
async function torrent(pan115: Pan115Client, fileRef: string, call: CallContext) {
  const { isFolder, sha1, pickCode } = await pan115.info(fileRef, call);
  if (isFolder) throw pan115Error('wrong_kind', 'has a folder there, not a torrent file.', null, {});
  if (!sha1 || !pickCode) throw notFound();
  const post = { url: '/open/offline/torrent', form: { torrent_sha1: sha1, pick_code: pickCode }, idempotent: true };
  const { data } = await pan115.post(TORRENT, 'offline.torrent', post, call);
  return { data, sha1, pickCode };
}

type WireTorrent = z.infer<typeof TORRENT>['data'];

const torrentOf = ({ info_hash, torrent_name, file_size, torrent_filelist }: WireTorrent): DriveTorrent => ({
  taskRef: info_hash,
  name: torrent_name,
  sizeBytes: file_size ?? null,
  files: torrent_filelist.map(({ path, size, wanted }, index) => ({
    index,
    path,
    sizeBytes: size ?? null,
    preselected: wanted === 1,
  })),
});

/** What 115 would choose; all where it would choose nothing. */
function chosen(files: WireTorrent['torrent_filelist']): readonly number[] {
  const all = [...files.keys()];
  const preselected = all.filter((index) => files[index]?.wanted === 1);
  return preselected.length > 0 ? preselected : all;
}

function checkFolder(parentRef: string | null): void {
  if (parentRef !== null && parentRef !== ROOT_REF && !REF.test(parentRef)) throw notFound();
}

function checkTask(taskRef: string): void {
  if (!/^[0-9a-zA-Z]{1,64}$/.test(taskRef)) {
    throw pan115Error('not_found', 'has no such task.', null, {});
  }
}
