import type { Renaming } from '../drives/contract/renaming.ts';
import type { CallContext, DriveEntry } from '../drives/driver.ts';
import { domainErrorOf } from '../drives/errors.ts';
import type { Clock } from '../lib/clock.ts';
import { AlreadyExistsError, ConflictError, InvalidInputError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { storedFailureOf } from '../transfers/failures.ts';
import type { OpenAccount } from './accounts.ts';
import { type EntryTarget, type EntryView, uncancelled } from './entries.ts';
import type { Attempt, Idempotency } from './idempotency.ts';
import {
  checkLengths,
  type Found,
  type ItemAnswer,
  type ItemLists,
  type ItemResult,
  keyOf,
  type SourceKey,
} from './item-lists.ts';
import { checkedName } from './paths.ts';
import { renameGroups } from './rename-order.ts';
import { keptOf } from './unexpected.ts';
import type { Viewer } from './viewer.ts';

export interface Rename {
  readonly entry: EntryTarget;
  readonly name: string;
  readonly ifRevision?: string | null | undefined;
}

export interface RenameList {
  readonly entries: readonly Rename[];
  readonly idempotencyKey?: string | null | undefined;
}

export interface RenamesOptions {
  readonly lists: ItemLists;
  readonly idempotency: Idempotency;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What an attempt keeps for one that comes after it. */
interface Part {
  /** What paths led to, before anything changed: afterwards they may lead elsewhere. */
  readonly sources?: readonly (SourceKey | null)[];
  readonly done: readonly (readonly [index: number, answer: ItemAnswer])[];
}

/** An entry that was found, and its new name. */
interface Task extends Found, Renaming {
  readonly index: number;
}

type Outcome = DriveEntry | Error;

/** Gives many entries other names. */
export class Renames {
  readonly #options: RenamesOptions;

  constructor(options: RenamesOptions) {
    this.#options = options;
  }

  /**
   * One result for each item, in their order; one failure never stops the others. A name that another entry of the list
   * gives up is free by then, in whatever order they stand. Two entries cannot exchange their names: each finds the other's
   * taken. Of two that are to have one name the first has it; an entry that is named twice is renamed once.
   * @throws InvalidInputError when the list is empty or too long.
   */
  async all(viewer: Viewer, { entries, idempotencyKey }: RenameList): Promise<readonly ItemResult[]> {
    checkLengths({ entries });
    const { idempotency, lists } = this.#options;
    const fresh = new Map<string, EntryView>();
    const request = { operation: 'renameMany', key: idempotencyKey, input: { entries } };
    const answers = await idempotency.once<readonly ItemAnswer[], Part>(viewer, request, async (attempt) => {
      const run = new Run(this.#options, attempt, fresh);
      return run.answers(entries, lists.finder(viewer, run.call));
    });
    return lists.results(viewer, answers, fresh);
  }
}

/** One attempt at one list. */
class Run {
  readonly call: CallContext = uncancelled();
  readonly #options: RenamesOptions;
  readonly #attempt: Attempt<Part>;
  readonly #fresh: Map<string, EntryView>;
  readonly #answers: Map<number, ItemAnswer>;

  constructor(options: RenamesOptions, attempt: Attempt<Part>, fresh: Map<string, EntryView>) {
    this.#options = options;
    this.#attempt = attempt;
    this.#fresh = fresh;
    this.#answers = new Map(attempt.parts.flatMap(({ done }) => done));
  }

  async answers(
    entries: readonly Rename[],
    find: (target: EntryTarget) => Promise<Found>,
  ): Promise<readonly ItemAnswer[]> {
    const tasks = await this.#tasks(entries, find);
    for (const ofOne of Map.groupBy(tasks, ({ opened }) => opened.account.id).values()) {
      const opened = ofOne[0]?.opened;
      if (ofOne.length > 1 && opened?.driver.renameMany && opened.driver.statMany) await this.#together(ofOne, opened);
      else await this.#oneByOne(ofOne);
    }
    return entries.flatMap((_, index) => this.#answers.get(index) ?? []);
  }

  /** What is left to do. */
  async #tasks(entries: readonly Rename[], find: (target: EntryTarget) => Promise<Found>): Promise<readonly Task[]> {
    const known = this.#attempt.parts[0]?.sources;
    const sources: (SourceKey | null)[] = [];
    const places = new Map<string, number>();
    const tasks: Task[] = [];
    const refused: [number, ItemAnswer][] = [];
    for (const [index, { entry, name, ifRevision }] of entries.entries()) {
      const at = ['input', 'entries', String(index)];
      let source = known?.[index] ?? null;
      try {
        const found = await find(source ?? entry);
        source ??= found.source;
        const key = keyOf({ accountId: found.opened.account.id, ref: found.ref });
        const place = places.get(key) ?? index;
        places.set(key, place);
        if (place !== index) {
          throw new InvalidInputError([{ path: [...at, 'entry'], message: `is that of entries.${place}` }]);
        }
        checkedName(name, [...at, 'name']);
        tasks.push({ ...found, source, index, name, ...(ifRevision == null ? {} : { ifRevision }) });
      } catch (error) {
        refused.push([index, this.#failure(source, error)]);
      }
      sources.push(source);
    }
    await this.#keep({ sources, done: refused.filter(([index]) => !this.#answers.has(index)) });
    return tasks.filter(({ index }) => !this.#answers.has(index));
  }

  /** In as few requests as the drive can. */
  async #together(tasks: readonly Task[], opened: OpenAccount): Promise<void> {
    const { driver, run } = opened;
    let groups: readonly (readonly Task[])[];
    try {
      const found = await run(
        'statMany',
        tasks.map(({ ref }) => ref),
        this.call,
      );
      const now = new Map(found.flatMap((entry) => (entry ? [[entry.ref, entry]] : [])));
      groups = renameGroups(tasks, now, driver.capabilities);
    } catch (error) {
      return this.#settle(tasks.map((task) => [task, error as Error]));
    }
    for (const group of groups) await this.#settle(await this.#group(group, opened));
  }

  async #group(group: readonly Task[], { account, run }: OpenAccount): Promise<[Task, Outcome][]> {
    const renamings = group.map(({ ref, name, ifRevision }) => ({
      ref,
      name,
      ...(ifRevision === undefined ? {} : { ifRevision }),
    }));
    try {
      const results = await run('renameMany', renamings, this.call);
      return group.map((task, at) => {
        const { entry, error } = results[at] ?? { entry: null, error: null };
        if (entry) return [task, entry];
        return [task, error ? domainErrorOf(error, account.id, this.#options.clock.now()) : new Error('no result')];
      });
    } catch (error) {
      return group.map((task) => [task, error as Error]);
    }
  }

  /** An entry whose name is held by one that is still to come lets that one go first. */
  async #oneByOne(tasks: readonly Task[]): Promise<void> {
    const waiting = new Map(tasks.map((task) => [task.ref, task]));
    const rename = async (task: Task): Promise<void> => {
      waiting.delete(task.ref);
      let outcome = await this.#one(task);
      for (let holder = holderOf(outcome, waiting); holder; holder = holderOf(outcome, waiting)) {
        await rename(holder);
        outcome = await this.#one(task);
      }
      await this.#settle([[task, outcome]]);
    };
    for (const task of tasks) if (waiting.has(task.ref)) await rename(task);
  }

  async #one({ opened, ref, name, ifRevision }: Task): Promise<Outcome> {
    try {
      return await opened.run('rename', ref, name, ifRevision === undefined ? {} : { ifRevision }, this.call);
    } catch (error) {
      return error as Error;
    }
  }

  async #settle(outcomes: readonly (readonly [Task, Outcome])[]): Promise<void> {
    const done: [number, ItemAnswer][] = [];
    for (const [task, told] of outcomes) {
      const { source, index, opened } = task;
      const outcome = await this.#unlessDoneBefore(task, told);
      if (outcome instanceof Error) {
        done.push([index, this.#failure(source, outcome)]);
        continue;
      }
      const key = { accountId: opened.account.id, ref: outcome.ref };
      if (outcome.kind === 'FOLDER') this.#forgetBelow(opened.account.id, outcome.path);
      this.#fresh.set(keyOf(key), { account: opened.account, entry: outcome });
      done.push([index, { source, entry: key, failure: null }]);
    }
    await this.#keep({ done });
  }

  /** What is in a folder of another name has another path: it is looked up anew when all is done. */
  #forgetBelow(accountId: string, path: string | null): void {
    if (path === null) return;
    // The old name is not known here: what is deeper than the folder is looked up, wherever it is.
    const above = path.slice(0, path.lastIndexOf('/') + 1);
    for (const [key, { account, entry }] of this.#fresh) {
      const isDeeper = entry.path?.startsWith(above) && entry.path.slice(above.length).includes('/');
      if (account.id === accountId && isDeeper) this.#fresh.delete(key);
    }
  }

  /** An attempt that died may have given the name, and the revision that goes with it. */
  async #unlessDoneBefore({ opened, ref, name }: Task, outcome: Outcome): Promise<Outcome> {
    if (this.#attempt.since === null || !(outcome instanceof ConflictError)) return outcome;
    const now = await opened.run('stat', ref, this.call).catch(() => null);
    return now?.name === name ? now : outcome;
  }

  async #keep(part: Part): Promise<void> {
    for (const [index, answer] of part.done) this.#answers.set(index, answer);
    await this.#attempt.keep(part);
  }

  #failure(source: SourceKey | null, error: unknown): ItemAnswer {
    return { source, entry: null, failure: storedFailureOf(keptOf(error, this.#options.log)) };
  }
}

/** Who has the name, of those who are still to be renamed. */
const holderOf = (outcome: Outcome, waiting: ReadonlyMap<string, Task>): Task | undefined =>
  outcome instanceof AlreadyExistsError ? waiting.get(outcome.existing?.ref ?? '') : undefined;
