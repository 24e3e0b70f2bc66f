import type { DriveTorrent, OfflineTasks } from '../../drives/contract/offline.ts';
import type { CallContext } from '../../drives/driver.ts';
import { DriveError } from '../../drives/errors.ts';
import { categoryOf } from '../../drives/shared/categories.ts';
import { InvalidInputError, NotFoundError } from '../../lib/errors.ts';
import type { Accounts } from '../accounts.ts';
import type { Audit } from '../audit.ts';
import { type Entries, type EntryTarget, type EntryView, noSuchEntry, uncancelled } from '../entries.ts';
import type { Idempotency } from '../idempotency.ts';
import type { Viewer } from '../viewer.ts';
import { noSuchTask, type OfflineLists, type OfflineTaskView, requireAbility } from './lists.ts';
import type { OfflineStarter, StoredAnswer } from './starter.ts';

/** Indexes that may be named at once. Torrents of more files are rare: all of those are had by naming none. */
export const TORRENT_INDEXES_MAX = 10_000;

type Input<Value> = Value | null | undefined;

export interface NewOfflineTorrent {
  readonly file: EntryTarget;
  /** Null: those that the provider would choose. */
  readonly fileIndexes?: Input<readonly number[]>;
  /** Null: where the provider puts such files by itself. */
  readonly destination?: Input<{ readonly target: EntryTarget }>;
  readonly idempotencyKey?: Input<string>;
}

export interface OfflineTorrentsOptions {
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly lists: OfflineLists;
  readonly starter: OfflineStarter;
  readonly idempotency: Idempotency;
  readonly audit: Audit;
}

/** Torrent files that lie on a drive whose provider downloads what they name. */
export class OfflineTorrents {
  readonly #options: OfflineTorrentsOptions;

  constructor(options: OfflineTorrentsOptions) {
    this.#options = options;
  }

  /** What a file would bring; null where it is no torrent that the provider can read. Only torrents are asked about. */
  async of({ account, entry }: EntryView, call: CallContext): Promise<DriveTorrent | null> {
    const { abilities, driver, run } = this.#options.accounts.openVisible(account);
    if (!abilities.has('OFFLINE_TORRENT') || !driver.offline?.readTorrent) return null;
    if ((entry.category ?? categoryOf(entry.name)) !== 'TORRENT') return null;
    try {
      return await run('offline.readTorrent', entry.ref, call);
    } catch (error) {
      if (error instanceof NotFoundError) return null;
      throw error;
    }
  }

  /**
   * Has the provider download files of a torrent into the account that the torrent lies in. Where it does so already,
   * its task is given.
   * @throws InvalidInputError, NotFoundError, UnsupportedError; AlreadyExistsError when another's task does it already;
   *   ConflictError by the idempotency key; what the drive throws.
   */
  async add(viewer: Viewer, wanted: NewOfflineTorrent): Promise<OfflineTaskView> {
    const { accounts, idempotency, lists, starter, audit } = this.#options;
    const { file } = wanted;
    const destination = wanted.destination ?? null;
    const indexes = wanted.fileIndexes == null ? null : checkedIndexes(wanted.fileIndexes);
    const account = file && (await accounts.visibleMany(viewer, [file.accountId])).get(file.accountId);
    if (!account) throw noSuchEntry();
    if (destination && destination.target?.accountId !== account.id) throw noSuchEntry();
    const opened = accounts.openVisible(account);
    requireAbility(opened, 'OFFLINE_TORRENT');
    const fresh = new Map<string, OfflineTaskView>();
    const input = { file, fileIndexes: indexes, destination };
    const request = { operation: 'addOfflineTorrent', key: wanted.idempotencyKey, input };
    const { ref } = await idempotency.once<StoredAnswer>(viewer, request, async ({ since }) => {
      const { fileRef, torrent } = await this.#read(viewer, file);
      checkBounds(indexes, torrent);
      const parentRef = await starter.folderRef(viewer, destination);
      const by = (offline: OfflineTasks) => torrentAs(offline, fileRef, indexes, torrent);
      const start = { parentRef, isRepeated: since !== null, by };
      for await (const added of starter.links(viewer, opened, [magnetOf(torrent)], start)) {
        const failure = added.find(({ error }) => error)?.error;
        if (failure) throw failure;
        // The magnet link is ours: a task begun with it would bring all the files.
        const begun = added.map((one) => ({ ...one, url: null }));
        const [kept] = await starter.keep(viewer, opened, begun, fresh);
        if (!kept) continue;
        const detail = { taskRef: kept.ref ?? '', attached: added.some(({ attached }) => attached) };
        await audit.record({ userId: viewer.userId, action: 'offline.add', accountId: account.id, detail });
        return kept;
      }
      throw noSuchTask();
    });
    const view = fresh.get(ref ?? '') ?? (await lists.findMany(viewer, [{ accountId: account.id, ref: ref ?? '' }]))[0];
    if (view instanceof Error) throw view;
    if (!view) throw noSuchTask();
    return view;
  }

  async #read(
    viewer: Viewer,
    file: EntryTarget,
  ): Promise<{ readonly fileRef: string; readonly torrent: DriveTorrent }> {
    const call = uncancelled();
    const { entry, run } = await this.#options.entries.resolve(viewer, file, call);
    if (entry.kind !== 'FILE') throw InvalidInputError.at('input.file', 'must be a file, and is a folder');
    try {
      return { fileRef: entry.ref, torrent: await run('offline.readTorrent', entry.ref, call) };
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      const issue = { path: ['input', 'file'], message: 'must be a torrent file that the provider can read' };
      throw new InvalidInputError([issue], { cause: error });
    }
  }
}

/** The drive's offline tasks, where to add the torrent's link is to add the torrent file itself. */
const torrentAs = (
  offline: OfflineTasks,
  fileRef: string,
  indexes: readonly number[] | null,
  { taskRef }: DriveTorrent,
): OfflineTasks => ({
  ...offline,
  urlsMax: 1,
  async add([url = ''], parentRef, call) {
    try {
      const task = await offline.addTorrent?.(fileRef, indexes, parentRef, call);
      return task ? [{ url, task, error: null }] : [];
    } catch (error) {
      if (!(error instanceof DriveError) || error.category !== 'already_exists') throw error;
      const existingRef = error.existingRef ?? taskRef;
      const known = new DriveError(error.category, error.message, { ...error, existingRef, cause: error });
      return [{ url, task: null, error: known }];
    }
  },
});

/** By which the provider's list is searched for a task that was begun, and of which the answer was lost. */
const magnetOf = ({ taskRef }: DriveTorrent): string => `magnet:?xt=urn:btih:${taskRef}`;

/** In order, each once. */
function checkedIndexes(given: readonly number[]): readonly number[] {
  const refused = (message: string) => InvalidInputError.at('input.fileIndexes', message);
  if (given.length < 1) throw refused('must name a file; left out, it is for the provider to choose');
  if (given.length > TORRENT_INDEXES_MAX) throw refused(`must be at most ${TORRENT_INDEXES_MAX}`);
  return [...new Set(given)].toSorted((one, other) => one - other);
}

function checkBounds(indexes: readonly number[] | null, { files }: DriveTorrent): void {
  const there = new Set(files.map(({ index }) => index));
  if (indexes?.every((index) => there.has(index)) ?? true) return;
  throw InvalidInputError.at('input.fileIndexes', `must be of the ${files.length} files of the torrent, from 0`);
}
