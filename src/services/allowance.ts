import type { Clock } from '../lib/clock.ts';
import { type Allowance, AllowanceExceededError, InvalidInputError, NotFoundError } from '../lib/errors.ts';
import { isRowId } from '../lib/ids.ts';
import { createLocalDays, type LocalDay } from '../lib/local-day.ts';
import type { EntityManager, Storage } from '../storage/orm.ts';
import type { Audit } from './audit.ts';
import { requireAdmin, type Viewer } from './viewer.ts';

/** Largest limit that can be set: as good as none. */
export const DOWNLOAD_LIMIT_MAX = 2_147_483_647;

/** Counts of past days are kept for this many days, for an admin who looks back. */
const COUNT_KEPT_DAYS = 35;

/**
 * One statement, so that parallel downloads cannot pass the limit between a read and a write: the row is locked, and the
 * condition looked at again, by the database.
 */
const CHARGE = `
  insert into download_counts (user_id, day, used)
  select id, ?, 1 from users where id = ? and coalesce(download_limit, ?) > 0
  on conflict (user_id, day) do update set used = download_counts.used + 1
  where download_counts.used < (select coalesce(download_limit, ?) from users where id = excluded.user_id)
  returning used, (select coalesce(download_limit, ?) from users where id = download_counts.user_id) as "limit"`;

const USAGES = `
  select users.id, coalesce(users.download_limit, ?) as "limit", coalesce(download_counts.used, 0) as used
  from users left join download_counts on download_counts.user_id = users.id and download_counts.day = ?
  where users.id in (?)`;

const SET_LIMIT = 'update users set download_limit = ? where id = ? returning id';

/** A row of either statement. */
interface Usage {
  readonly limit: number;
  readonly used: number;
}

export interface AllowanceOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly audit: Audit;
  /** Downloads per user and day where the user has no limit of their own; 0: none at all. */
  readonly defaultLimit: number;
  /** IANA name of the zone whose midnight begins a day. */
  readonly timeZone: string;
}

/** How many downloads a user has each day. A right to bytes is charged once, not each request that uses it. */
export class DownloadAllowances {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #audit: Audit;
  readonly #defaultLimit: number;
  readonly #dayAt: (at: Date) => LocalDay;

  constructor(options: AllowanceOptions) {
    this.#storage = options.storage;
    this.#clock = options.clock;
    this.#audit = options.audit;
    this.#defaultLimit = options.defaultLimit;
    this.#dayAt = createLocalDays(options.timeZone);
  }

  /** The day that is charged now. */
  today(): LocalDay {
    return this.#dayAt(this.#clock.now());
  }

  /** @throws NotFoundError when there is no such user. */
  async of(userId: string, em: EntityManager = this.#storage.fork()): Promise<Allowance> {
    const allowance = (await this.ofMany([userId], em)).get(userId);
    if (!allowance) throw noSuchUser();
    return allowance;
  }

  /** Today's allowances of these users, by their ids; in one statement. */
  async ofMany(
    userIds: readonly string[],
    em: EntityManager = this.#storage.fork(),
  ): Promise<ReadonlyMap<string, Allowance>> {
    const day = this.today();
    const usages = await em.execute<(Usage & { readonly id: string })[]>(
      USAGES,
      [this.#defaultLimit, day.name, [...userIds]],
      { method: 'all', connectionType: 'read' },
    );
    return new Map(usages.map((usage) => [usage.id, allowanceOf(usage, day)]));
  }

  /**
   * Takes one download off today's allowance, and gives what is left; exact whatever runs beside it. With `em`, in the
   * caller's transaction: what fails there is not charged.
   * @throws AllowanceExceededError when it is used up, NotFoundError when there is no such user.
   */
  async charge(userId: string, em: EntityManager = this.#storage.fork()): Promise<Allowance> {
    const day = this.today();
    const limit = this.#defaultLimit;
    const [usage] = await em.execute<Usage[]>(CHARGE, [day.name, userId, limit, limit, limit]);
    if (!usage) throw exceeded(await this.of(userId, em));
    return allowanceOf(usage, day);
  }

  /**
   * Sets a user's own daily limit; null: the server's default again. Counts at once, also for what was used today.
   * @throws PermissionDeniedError unless an administrator asks; InvalidInputError; NotFoundError.
   */
  async setLimit(viewer: Viewer, userId: string, limit: number | null): Promise<Allowance> {
    requireAdmin(viewer);
    if (limit !== null && !(Number.isInteger(limit) && limit >= 0 && limit <= DOWNLOAD_LIMIT_MAX)) {
      throw InvalidInputError.at('input.limit', `must be from 0 to ${DOWNLOAD_LIMIT_MAX}, or null`);
    }
    if (!isRowId(userId)) throw noSuchUser();
    return this.#storage.transaction(async (em) => {
      const changed = await em.execute(SET_LIMIT, [limit, userId]);
      if (changed.length === 0) throw noSuchUser();
      const detail = { of: userId, limit };
      await this.#audit.record({ userId: viewer.userId, action: 'downloadAllowance.set', detail }, em);
      return this.of(userId, em);
    });
  }

  /** Removes counts of days long past. */
  async sweep(): Promise<void> {
    const oldest = this.#dayAt(new Date(this.#clock.now().getTime() - COUNT_KEPT_DAYS * 86_400_000));
    await this.#storage.fork().execute('delete from download_counts where day < ?', [oldest.name], 'run');
  }
}

const allowanceOf = ({ limit, used }: Usage, day: LocalDay): Allowance => ({
  limit,
  used,
  remaining: Math.max(0, limit - used),
  resetsAt: day.endsAt,
});

const noSuchUser = (): NotFoundError => new NotFoundError('There is no such user.');

const exceeded = (allowance: Allowance): AllowanceExceededError =>
  new AllowanceExceededError(
    `The ${allowance.limit} downloads of today are used up. More from ${allowance.resetsAt.toISOString()} on.`,
    allowance,
  );
