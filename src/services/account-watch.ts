import { BUFFER_EVENTS_MAX, type EventBus } from '../events/bus.ts';
import type { Topic, Topics } from '../events/topics.ts';
import type { Account } from '../storage/entities/account.ts';
import type { Accounts } from './accounts.ts';
import type { Viewer } from './viewer.ts';

/** What is watched of an account. */
export interface Watched<Name extends Topic, View> {
  readonly topic: Name;
  readonly filter: (event: Topics[Name]) => boolean;
  /** Events of one key replace each other while unread. */
  readonly coalesceBy?: (event: Topics[Name]) => string;
  /** Keys that a slow reader may have unread; beyond, the oldest is lost. Default that of the bus. */
  readonly keysMax?: number;
  /** The present state; asked for again when a slow reader has lost events. */
  readonly present: () => Promise<readonly View[]>;
  /** Whether an event only says that something may be different: then the present state is told. */
  readonly isVague?: (event: Topics[Name]) => boolean;
  /** What an event shows; null: nothing. */
  readonly view: (account: Account, event: Topics[Name]) => View | null | Promise<View | null>;
  /** Called once, when nobody reads any more. */
  readonly onEnd?: () => void;
}

/** Lets viewers watch what happens in an account, for as long as they may see it. */
export class AccountWatch {
  readonly #accounts: Accounts;
  readonly #events: EventBus;

  constructor(accounts: Accounts, events: EventBus) {
    this.#accounts = accounts;
    this.#events = events;
  }

  /**
   * The present state, then what happens. Ends when the viewer may no longer see the account, and with the signal.
   * @throws what `present` throws.
   */
  async follow<Name extends Topic, View>(
    viewer: Viewer,
    accountId: string,
    signal: AbortSignal,
    watched: Watched<Name, View>,
  ): Promise<AsyncGenerator<View, void>> {
    const ending = new AbortController();
    const backlog = new Backlog();
    const { topic, filter, coalesceBy, keysMax = BUFFER_EVENTS_MAX, present } = watched;
    // Listens before it reads the present state: nothing can happen unseen in between.
    const stream = this.#events.subscribe(topic, {
      signal: AbortSignal.any([signal, ending.signal]),
      ...(coalesceBy
        ? { filter, coalesceBy, bufferMax: keysMax }
        : { filter: (event) => filter(event) && backlog.add() }),
    });
    const stopChecking = this.#events.on('account.changed', async (event) => {
      if (event.accountId === accountId && !(await this.#find(viewer, accountId))) ending.abort();
    });
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      ending.abort();
      stopChecking();
      signal.removeEventListener('abort', end);
      watched.onEnd?.();
    };
    signal.addEventListener('abort', end);
    const follow = async function* (this: AccountWatch, first: readonly View[]): AsyncGenerator<View, void> {
      try {
        yield* first;
        for await (const event of stream) {
          const account = await this.#find(viewer, accountId);
          if (!account) return;
          const vague = watched.isVague?.(event) ?? false;
          if (backlog.take() || vague) yield* await present();
          const view = vague ? null : await watched.view(account, event);
          if (view !== null) yield view;
        }
      } finally {
        end();
      }
    };
    try {
      return follow.call(this, await present());
    } catch (error) {
      end();
      throw error;
    }
  }

  async #find(viewer: Viewer, accountId: string): Promise<Account | null> {
    return (await this.#accounts.visibleMany(viewer, [accountId])).get(accountId) ?? null;
  }
}

/** Counts what a subscription has not read: it drops the oldest beyond its buffer, and its reader must be told. */
class Backlog {
  #unread = 0;
  #lost = false;

  /** An event was announced. True, to stand in a filter. */
  add(): true {
    if (this.#unread < BUFFER_EVENTS_MAX) this.#unread += 1;
    else this.#lost = true;
    return true;
  }

  /** An event was read; gives whether others were lost before it. */
  take(): boolean {
    this.#unread -= 1;
    const lost = this.#lost;
    this.#lost = false;
    return lost;
  }
}
