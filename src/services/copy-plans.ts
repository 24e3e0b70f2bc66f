import type { ConflictPolicy } from '../drives/driver.ts';
import type { DomainError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { TransferRoute } from '../storage/entities/transfer.ts';
import { findChild } from '../transfers/children.ts';
import { PlanBudget, type PlanGap } from './copy-plan-budget.ts';
import { checkPossible, isRefused, routesOf, taken } from './copy-rules.ts';
import { type PlanPart, type PlanTotals, surveyFile, surveyTree } from './copy-surveys.ts';
import type { Entries, EntryTarget, EntryView, ResolvedEntry } from './entries.ts';
import { checkLengths } from './item-lists.ts';
import { toldOf } from './unexpected.ts';
import type { Viewer } from './viewer.ts';

export interface CopyPlanRequest {
  readonly entries: readonly EntryTarget[];
  readonly destination: EntryTarget;
  /** Default FAIL. */
  readonly onConflict?: ConflictPolicy | null | undefined;
}

/** What copying one entry would take; nothing was changed to find out. */
export interface CopyPlanItem {
  /** Null: it was not found. */
  readonly source: EntryView | null;
  /** Null: there is none, nothing has to be copied, or (of a folder) each of its files takes its own. */
  readonly route: TransferRoute | null;
  readonly routeReason: string | null;
  /** The way that is taken where the drive turns out not to have the bytes. */
  readonly fallback: TransferRoute | null;
  /** At most so many bytes pass this server; null: a size is not told, or not all of a folder was read. */
  readonly bytesThroughServer: number | null;
  /** Requests to providers, with the best route; null: it cannot be said before the drive is asked. */
  readonly providerCalls: number | null;
  /** What has the name at the destination. */
  readonly conflict: EntryView | null;
  readonly error: DomainError | null;
  /** All that would be copied; null: nothing was looked at, because nothing has to be read, or nothing works. */
  readonly totals: PlanTotals | null;
  /** Why the totals are not of all of a folder; null: they are. */
  readonly gap: PlanGap | null;
  /** Of a folder: what is in it, as it was found. */
  readonly parts: readonly PlanPart[];
}

export interface CopyPlansOptions {
  readonly entries: Entries;
  readonly log: Logger;
}

/** What copies would take. */
export class CopyPlans {
  readonly #options: CopyPlansOptions;

  constructor(options: CopyPlansOptions) {
    this.#options = options;
  }

  /**
   * What it would take to copy the entries; folders are read for that, all of them together within {@link PLAN_LIMITS}.
   * @throws InvalidInputError and NotFoundError for the destination.
   */
  async plan(viewer: Viewer, request: CopyPlanRequest, signal: AbortSignal): Promise<readonly CopyPlanItem[]> {
    const { entries, destination, onConflict } = request;
    checkLengths({ entries, field: 'entries' });
    const folder = await this.#options.entries.resolveFolder(viewer, destination, ['destination'], { signal });
    const budget = new PlanBudget(signal);
    const items: CopyPlanItem[] = [];
    for (const target of entries) items.push(await this.#planOne(viewer, target, folder, onConflict ?? 'FAIL', budget));
    return items;
  }

  async #planOne(
    viewer: Viewer,
    target: EntryTarget,
    folder: ResolvedEntry,
    onConflict: ConflictPolicy,
    budget: PlanBudget,
  ): Promise<CopyPlanItem> {
    let item: CopyPlanItem = NOTHING;
    const call = { signal: budget.caller };
    try {
      const { entry: source, ...opened } = await this.#options.entries.resolve(viewer, target, call);
      item = { ...item, source: { account: opened.account, entry: source } };
      const there = await findChild(folder.driver, folder.entry.ref, source.name, call);
      item = { ...item, conflict: there && { account: folder.account, entry: there } };
      const ends = { opened, folder };
      const choices = routesOf(ends, source);
      if (choices[0]?.route !== 'SERVER_SIDE') checkPossible({ kind: 'COPY', ...ends }, source);
      if (there && isRefused(there, source, onConflict)) throw taken(folder.account.id, there);
      if (there && onConflict === 'SKIP') {
        return { ...item, routeReason: 'What has the name stays, and nothing is copied.', bytesThroughServer: 0 };
      }
      if (source.kind === 'FILE' || choices.length > 0) return { ...item, ...surveyFile(ends, source) };
      const survey = await surveyTree(ends, source, budget);
      return { ...item, ...survey, routeReason: 'Each of its files takes the best route of its own.' };
    } catch (error) {
      budget.caller.throwIfAborted();
      return { ...item, error: toldOf(error, this.#options.log) };
    }
  }
}

const NOTHING: CopyPlanItem = {
  source: null,
  route: null,
  routeReason: null,
  fallback: null,
  bytesThroughServer: null,
  providerCalls: null,
  conflict: null,
  error: null,
  totals: null,
  gap: null,
  parts: [],
};
