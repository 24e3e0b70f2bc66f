import type { DriveOfflineTask } from '../../drives/contract/offline.ts';
import type { CallContext, DriveEntry, Driver, Page, PageRequest } from '../../drives/driver.ts';
import type { EventBus } from '../../events/bus.ts';
import { addMs, type Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { OfflineTask } from '../../storage/entities/offline-task.ts';
import type { ChangedTask, OfflineRecords } from './records.ts';

/** Pages of a provider's list that are read at most while certain tasks are looked for. */
export const LIST_PAGES_MAX = 20;
/** Pages of a folder in which the file of a task is looked for. */
const FOLDER_PAGES_MAX = 5;
/** How far the provider's clock may be behind ours, in milliseconds. */
const CLOCK_SKEW_MS = 5 * 60_000;

export interface OfflineSyncParts {
  readonly records: OfflineRecords;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Takes over what a provider tells of tasks, whoever asked it, and announces what that changed. */
export class OfflineSync {
  readonly #parts: OfflineSyncParts;

  constructor(parts: OfflineSyncParts) {
    this.#parts = parts;
  }

  /** Gives the rows that are other than before. */
  async take(
    accountId: string,
    driver: Driver,
    tasks: readonly DriveOfflineTask[],
    call: CallContext,
  ): Promise<readonly OfflineTask[]> {
    const { records } = this.#parts;
    const changed = await records.absorb(accountId, tasks);
    for (const change of changed) await this.tell(accountId, driver, change, call);
    return changed.map(({ row }) => row);
  }

  /** Announces a task as it is, and what came of it. */
  async tell(
    accountId: string,
    driver: Driver,
    { row, hasJustSucceeded }: ChangedTask,
    call: CallContext,
  ): Promise<void> {
    const entry = hasJustSucceeded ? await this.#entryOf(driver, row, call) : null;
    if (entry && entry.ref !== row.entryRef) await this.#parts.records.setEntry(row, entry.ref);
    await this.#parts.events.publish('offlineTask.changed', { accountId, taskId: row.ref });
    const parentRef = entry?.parentRef ?? row.parentRef ?? null;
    if (!entry || parentRef === null) return;
    await this.#parts.events.publish('entry.changed', {
      accountId,
      folderRefs: [parentRef],
      kind: 'CREATED',
      entryRef: entry.ref,
      entryKind: entry.kind,
      path: entry.path,
      at: this.#parts.clock.now().toISOString(),
    });
  }

  /** What came of a task; null where that cannot be told. Never rejects: the task itself is known all the same. */
  async #entryOf(driver: Driver, row: OfflineTask, call: CallContext): Promise<DriveEntry | null> {
    try {
      if (row.entryRef != null) return await driver.stat(row.entryRef, call);
      return row.parentRef == null ? null : await findResult(driver, row, row.parentRef, call);
    } catch (error) {
      this.#parts.log.debug({ err: error, taskRef: row.ref }, 'what came of an offline task could not be looked up');
      return null;
    }
  }
}

/**
 * Where the provider does not tell what came of a task: the newest entry of its name that the folder has got since. Null
 * rather than a guess when the provider gave it another name.
 */
async function findResult(
  driver: Driver,
  { name, addedAt }: OfflineTask,
  folderRef: string,
  call: CallContext,
): Promise<DriveEntry | null> {
  const list = driver.list?.bind(driver);
  if (!list) return null;
  const since = addMs(addedAt, -CLOCK_SKEW_MS);
  let best: DriveEntry | null = null;
  const pages = pagesOf((page) => list(folderRef, {}, page, call), driver, FOLDER_PAGES_MAX);
  for await (const { items } of pages) {
    for (const entry of items) {
      const at = entry.createdAt ?? entry.modifiedAt;
      if (entry.name.normalize('NFC') !== name.normalize('NFC') || (at !== null && at < since)) continue;
      if (best === null || (at ?? since) > (best.createdAt ?? best.modifiedAt ?? since)) best = entry;
    }
  }
  return best;
}

/** The pages of a listing from the beginning, at most so many. */
export async function* pagesOf<Item>(
  list: (page: PageRequest) => Promise<Page<Item>>,
  { capabilities }: Driver,
  pagesMax: number,
): AsyncGenerator<Page<Item>, void> {
  let cursor: string | null = null;
  for (let count = 0; count < pagesMax; count += 1) {
    const page: Page<Item> = await list({ cursor, limit: capabilities.listPageMax });
    yield page;
    cursor = page.nextCursor;
    if (cursor === null) return;
  }
}
