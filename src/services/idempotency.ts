import { createHash } from 'node:crypto';
import { addMs, type Clock } from '../lib/clock.ts';
import { ConflictError, InvalidInputError } from '../lib/errors.ts';
import { outageOf } from '../lib/outage.ts';
import { sleep, type Timer } from '../lib/timer.ts';
import { IdempotencyRecord } from '../storage/entities/operations.ts';
import type { Storage } from '../storage/orm.ts';
import type { Viewer } from './viewer.ts';

/** A request that may be repeated. */
export interface OnceRequest {
  /** The mutation's name: a key counts for one operation. */
  readonly operation: string;
  /** Chosen by the caller; null: the request is not protected. */
  readonly key: string | null | undefined;
  /** What was asked for; JSON. */
  readonly input: unknown;
}

/** What an effect is told of the attempts before it. */
export interface Attempt<Part> {
  /** When the first attempt began, if this one goes on after one that died; null: this is the first. */
  readonly since: Date | null;
  /** What the attempts before it have kept. */
  readonly parts: readonly Part[];
  /** Keeps a part of the answer, so that an attempt after a crash does not do it again. JSON. */
  keep(part: Part): Promise<void>;
  /** The name that the attempt before had claimed for what it was just doing; null: none. */
  readonly claimed: string | null;
  /**
   * Keeps the name under which something is about to be made, until the next part is kept: an attempt after a crash looks
   * there first. Null: the request has no key, and nothing can be kept.
   */
  readonly claim: ((name: string) => Promise<void>) | null;
}

export type Effect<Answer, Part> = (attempt: Attempt<Part>) => Promise<Answer>;

/** Longest key, in characters: a client's UUID has 36. */
export const KEY_LENGTH_MAX = 255;
/** How long an answer is kept, in milliseconds: a phone may be without a network for a night. */
const KEPT_MS = 24 * 3_600_000;
/** How long a caller at work is believed alive without a sign of it, in milliseconds, and how often it gives one. */
export const PENDING_MS = 30_000;
const SIGN_MS = PENDING_MS / 3;
/** How often another process's answer is looked for, in milliseconds. */
const POLL_MS = 100;

export interface IdempotencyOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly timer: Timer;
}

interface Running {
  readonly inputHash: string;
  readonly answer: Promise<unknown>;
}

/**
 * Does a request once, however often it is sent: repeats get the first answer, also at the same time, from other
 * processes, and for a day afterwards. A request that failed had no answer, and is done again when it is repeated.
 */
export class Idempotency {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #timer: Timer;
  /** Under way in this process, by user and key: repeats need not look into the database. */
  readonly #running = new Map<string, Running>();

  constructor({ storage, clock, timer }: IdempotencyOptions) {
    this.#storage = storage;
    this.#clock = clock;
    this.#timer = timer;
  }

  /**
   * The answer of the effect, which is JSON and holds ids rather than objects: it is given again as it was.
   * A process that dies within its effect is followed, after {@link PENDING_MS}, by the next who repeats the request:
   * what it had kept is not done again, what it was just doing may be.
   * @throws ConflictError when the key was used for another input; InvalidInputError when it is none; what `effect` throws.
   */
  async once<Answer, Part = never>(
    viewer: Viewer,
    request: OnceRequest,
    effect: Effect<Answer, Part>,
  ): Promise<Answer> {
    const { key } = request;
    if (key == null) return effect(UNKEPT);
    checkKey(key);
    const inputHash = hashOf([request.operation, request.input]);
    const place = `${viewer.userId}/${key}`;
    for (let other = this.#running.get(place); other; other = this.#running.get(place)) {
      if (other.inputHash === inputHash) return other.answer as Promise<Answer>;
      await other.answer.catch(() => {}); // It may itself be the one that is refused.
    }

    const claim = new Claim<Answer, Part>(this.#storage, this.#clock, this.#timer, { viewer, key, inputHash, request });
    const answer = claim.answer(effect);
    this.#running.set(place, { inputHash, answer });
    try {
      return await answer;
    } finally {
      this.#running.delete(place);
    }
  }

  /**
   * Lets repetitions go on at once with what a process that died had begun. Only for a database that one process uses at a
   * time.
   */
  async releaseAll(): Promise<void> {
    await this.#storage
      .fork()
      .nativeUpdate(IdempotencyRecord, { pendingUntil: { $ne: null } }, { pendingUntil: new Date(0) });
  }

  /** Forgets what is older than a day; gives how many. */
  async sweep(): Promise<number> {
    const now = this.#clock.now();
    return this.#storage.fork().nativeDelete(IdempotencyRecord, {
      createdAt: { $lt: addMs(now, -KEPT_MS) },
      $or: [{ pendingUntil: null }, { pendingUntil: { $lt: now } }],
    });
  }
}

interface Claimed {
  readonly viewer: Viewer;
  readonly key: string;
  readonly inputHash: string;
  readonly request: OnceRequest;
}

const UNKEPT = { since: null, parts: [], keep: async () => {}, claimed: null, claim: null } as const;

/** What stands in a record: parts while pending, the answer afterwards. Wrapped, as null may be an answer. */
interface Stored<Answer, Part> {
  readonly parts?: readonly Part[];
  /** Of what comes behind the parts. */
  readonly claim?: string;
  readonly answer?: Answer;
}

/** One process's way to the answer: by doing the effect, or by waiting for the process that does it. */
class Claim<Answer, Part> {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #claimed: Claimed;
  /** The end of the lease while it is ours: who finds another there has lost it. */
  #pendingUntil = new Date(0);
  #parts: readonly Part[] = [];
  #writing: Promise<boolean> = Promise.resolve(true);

  constructor(storage: Storage, clock: Clock, timer: Timer, claimed: Claimed) {
    this.#storage = storage;
    this.#clock = clock;
    this.#timer = timer;
    this.#claimed = claimed;
  }

  async answer(effect: Effect<Answer, Part>): Promise<Answer> {
    for (;;) {
      if (await this.#insert()) return this.#run(effect, null);
      const record = await this.#storage.fork().findOne(IdempotencyRecord, this.#id(), {
        disableIdentityMap: true,
        connectionType: 'write',
      });
      if (!record) continue; // The first failed just now.
      if (record.inputHash !== this.#claimed.inputHash) {
        throw new ConflictError('This idempotency key was used for another request. Take a new one.');
      }
      const stored = (record.answer ?? {}) as Stored<Answer, Part>;
      if (!record.pendingUntil) return stored.answer as Answer;
      if (record.pendingUntil <= this.#clock.now() && (await this.#takeOver(record.pendingUntil))) {
        this.#parts = stored.parts ?? [];
        return this.#run(effect, record.createdAt, stored.claim ?? null);
      }
      await sleep(this.#timer, POLL_MS, new AbortController().signal);
    }
  }

  async #run(effect: Effect<Answer, Part>, since: Date | null, claimed: string | null = null): Promise<Answer> {
    const stop = this.#giveSigns();
    try {
      const keep = async (part: Part): Promise<void> => {
        this.#parts = [...this.#parts, part];
        if (!(await this.#update({ answer: { parts: this.#parts } }))) throw takenOver();
      };
      const claim = async (name: string): Promise<void> => {
        if (!(await this.#update({ answer: { parts: this.#parts, claim: name } }))) throw takenOver();
      };
      const answer = await effect({ since, parts: this.#parts, keep, claimed, claim });
      await this.#update({ answer: { answer }, pendingUntil: null });
      return answer;
    } catch (error) {
      // Without a database nobody knows how far it came: whoever repeats it goes on as after a crash, behind the parts.
      if (outageOf(error)) await this.#update({ pendingUntil: this.#clock.now() }).catch(() => false);
      else await this.#storage.fork().nativeDelete(IdempotencyRecord, this.#mine());
      throw error;
    } finally {
      stop();
    }
  }

  /** Extends the lease while the effect is at work; gives the function that ends this. */
  #giveSigns(): () => void {
    let cancel = (): void => {};
    const schedule = (): void => {
      cancel = this.#timer.after(SIGN_MS, async () => {
        schedule();
        // A sign that fails is one that others miss: the next may reach them.
        await this.#update({ pendingUntil: this.#leaseEnd() }).catch(() => false);
      });
    };
    schedule();
    return () => cancel();
  }

  async #insert(): Promise<boolean> {
    const pendingUntil = this.#leaseEnd();
    const { affectedRows } = await this.#storage
      .fork()
      .createQueryBuilder(IdempotencyRecord)
      .insert({
        ...this.#id(),
        operation: this.#claimed.request.operation,
        inputHash: this.#claimed.inputHash,
        answer: null,
        pendingUntil,
        createdAt: this.#clock.now(),
      })
      .onConflict(['userId', 'key'])
      .ignore()
      .execute('run');
    this.#pendingUntil = pendingUntil;
    return affectedRows === 1;
  }

  async #takeOver(from: Date): Promise<boolean> {
    this.#pendingUntil = from;
    return this.#update({ pendingUntil: this.#leaseEnd() });
  }

  /** Writes while the lease is ours, one after the other, as each write may move the lease. False: it is lost. */
  #update(changes: { readonly answer?: Stored<Answer, Part>; readonly pendingUntil?: Date | null }): Promise<boolean> {
    const writing = this.#writing.then(async () => {
      const count = await this.#storage.fork().nativeUpdate(IdempotencyRecord, this.#mine(), changes);
      if (count === 1 && changes.pendingUntil) this.#pendingUntil = changes.pendingUntil;
      return count === 1;
    });
    this.#writing = writing.catch(() => false);
    return writing;
  }

  #id(): { readonly userId: string; readonly key: string } {
    return { userId: this.#claimed.viewer.userId, key: this.#claimed.key };
  }

  #mine(): { readonly userId: string; readonly key: string; readonly pendingUntil: Date } {
    return { ...this.#id(), pendingUntil: this.#pendingUntil };
  }

  #leaseEnd(): Date {
    return addMs(this.#clock.now(), PENDING_MS);
  }
}

const takenOver = (): ConflictError =>
  new ConflictError('Another attempt goes on with this request. Repeat it to get the answer.', { retryable: true });

function checkKey(key: string): void {
  if (key !== '' && key.length <= KEY_LENGTH_MAX && key.isWellFormed() && !/\p{Cc}/u.test(key)) return;
  throw InvalidInputError.at('input.idempotencyKey', `must be from 1 to ${KEY_LENGTH_MAX} characters of plain text`);
}

/** The same for the same input, whatever the order of its fields; a field left out is one that is undefined. */
const hashOf = (input: unknown): string => createHash('sha256').update(canonicalJson(input)).digest('hex');

const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_key, nested) =>
    typeof nested === 'object' && nested !== null && !Array.isArray(nested) && !(nested instanceof Date)
      ? Object.fromEntries(Object.entries(nested).toSorted(([left], [right]) => (left < right ? -1 : 1)))
      : nested,
  );
