import type { ShareOptions, ShareTraffic } from '../drives/contract/shares.ts';
import type { CallContext } from '../drives/driver.ts';
import { InvalidInputError, NotFoundError, UnsupportedError } from '../lib/errors.ts';
import type { Account } from '../storage/entities/account.ts';
import type { Share } from '../storage/entities/share.ts';
import type { Storage } from '../storage/orm.ts';
import type { Accounts, OpenAccount } from './accounts.ts';
import type { Audit } from './audit.ts';
import { type Entries, type EntryKey, type EntryTarget, type EntryView, noSuchEntry, uncancelled } from './entries.ts';
import type { Idempotency } from './idempotency.ts';
import { ITEMS_MAX } from './item-lists.ts';
import type { ShareKey, ShareLists, ShareView } from './share-lists.ts';
import type { ShareRecords } from './share-records.ts';
import type { Viewer } from './viewer.ts';

type Input<Value> = Value | null | undefined;

/** Whose downloads the owner's paid traffic serves; left out: not. */
export interface TrafficInput {
  readonly guests?: Input<boolean>;
  readonly beyondQuota?: Input<boolean>;
  readonly limitBytes?: Input<number>;
}

export interface NewShare {
  readonly entries: readonly EntryTarget[];
  /** Null or 0: for ever, where the provider can. */
  readonly days?: Input<number>;
  readonly password?: Input<string>;
  readonly remark?: Input<string>;
  readonly ticket?: Input<string>;
  readonly traffic?: Input<TrafficInput>;
  readonly idempotencyKey?: Input<string>;
}

/** Null or left out: as it is. 0 days are for ever; an empty text is none. */
export type ShareChanges = Pick<NewShare, 'days' | 'password' | 'remark' | 'traffic'>;

export interface ShareToSave {
  readonly url: string;
  readonly password?: Input<string>;
  readonly parent: EntryTarget;
  readonly idempotencyKey?: Input<string>;
}

/** Longest life of a share, in days: a century. Far more is no date. */
export const SHARE_DAYS_MAX = 36_500;
/** Longest texts that go to a provider, in characters: far above what any of them takes. */
export const SHARE_TEXT_MAX = 1_000;
/** Longest address of a share, in characters: what browsers handle. */
export const SHARE_URL_MAX = 2_048;

export interface SharesOptions {
  readonly storage: Storage;
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly lists: ShareLists;
  readonly records: ShareRecords;
  readonly idempotency: Idempotency;
  readonly audit: Audit;
}

/** The providers' own share links: making, changing and ending them, and saving those of others. */
export class Shares {
  readonly #options: SharesOptions;

  constructor(options: SharesOptions) {
    this.#options = options;
  }

  /**
   * Shares entries of one account.
   * @throws InvalidInputError, NotFoundError, UnsupportedError; ConflictError by the idempotency key; what the drive throws.
   */
  async create(viewer: Viewer, wanted: NewShare): Promise<ShareView> {
    const { idempotency, lists, records } = this.#options;
    if (wanted.entries.length < 1 || wanted.entries.length > ITEMS_MAX) {
      throw InvalidInputError.at('input.entries', `must be from 1 to ${ITEMS_MAX} entries`);
    }
    const options = { days: null, password: null, remark: null, ticket: null, ...checkedOptions(wanted) };
    // A stored hash of a short password would give it away: only that there is one counts for repeats.
    const input = { ...options, entries: wanted.entries, password: options.password !== null };
    const request = { operation: 'createShare', key: wanted.idempotencyKey, input };
    const fresh: { view?: ShareView } = {};
    const key = await idempotency.once<ShareKey>(viewer, request, async () => {
      const call = uncancelled();
      const { account, driver, run, refs } = await this.#openEntries(viewer, wanted.entries, call);
      checkTraffic({ account, driver }, options);
      const made = await run('shares.create', refs, options, call);
      const share = { ...made, password: made.password ?? options.password };
      const owner = { userId: viewer.userId, accountId: account.id };
      const detail = { shareRef: share.ref, entries: refs.length, keyed: share.password !== null };
      const record = await this.#recorded(viewer, account, 'share.create', detail, (em) =>
        records.add(em, owner, share, refs),
      );
      fresh.view = lists.viewOf(account, share, record);
      return { accountId: account.id, ref: share.ref };
    });
    return fresh.view ?? this.#get(viewer, key);
  }

  /** @throws NotFoundError, InvalidInputError; UnsupportedError where the provider cannot; what the drive throws. */
  async update(viewer: Viewer, key: ShareKey | null, wanted: ShareChanges): Promise<ShareView> {
    const { accounts, lists, records } = this.#options;
    const { account, ref, record } = await this.#own(viewer, key);
    const changes = checkedOptions(wanted);
    if (Object.keys(changes).length === 0) {
      throw InvalidInputError.at('input', 'Nothing to change: give days, password, remark or traffic.');
    }
    const { driver, run } = accounts.openVisible(account);
    checkTraffic({ account, driver }, changes);
    const changed = await asOurs(run('shares.update', ref, changes, uncancelled()));
    const password =
      changed.password ?? (changes.password === undefined ? record && records.passwordOf(record) : changes.password);
    const share = { ...changed, password };
    const detail = { shareRef: ref, changed: Object.keys(changes) };
    const after = await this.#recorded(viewer, account, 'share.update', detail, async (em) =>
      record ? records.change(em, record, share) : null,
    );
    return lists.viewOf(account, share, after);
  }

  /** Ends a share. One that ended already stays as it is. @throws as {@link update}. */
  async cancel(viewer: Viewer, key: ShareKey | null): Promise<ShareKey> {
    const { accounts, records } = this.#options;
    const { account, ref, record } = await this.#own(viewer, key);
    const ended = { accountId: account.id, ref };
    if (record?.cancelledAt) return ended;
    const { run } = accounts.openVisible(account);
    try {
      await asOurs(run('shares.cancel', ref, uncancelled()));
    } catch (error) {
      // Ended elsewhere: that it is over is all that was asked for.
      if (!record || !(error instanceof NotFoundError)) throw error;
    }
    await this.#recorded(viewer, account, 'share.cancel', { shareRef: ref }, async (em) => {
      if (record) await records.cancel(em, record);
    });
    return ended;
  }

  /**
   * Copies what somebody shared into a folder. Gives the copies that are there.
   * @throws InvalidInputError, NotFoundError, UnsupportedError; ConflictError by the idempotency key; what the drive throws.
   */
  async save(viewer: Viewer, wanted: ShareToSave): Promise<readonly EntryView[]> {
    const { entries, idempotency, audit } = this.#options;
    const { parent } = wanted;
    const url = checkedUrl(wanted.url);
    const password = checkedText(wanted.password ?? '', 'input.password') || null;
    const request = {
      operation: 'saveShare',
      key: wanted.idempotencyKey,
      input: { url, parent, password: password !== null },
    };
    const fresh: { views?: readonly EntryView[] } = {};
    const keys = await idempotency.once<readonly EntryKey[]>(viewer, request, async () => {
      const call = uncancelled();
      const { account, run } = await this.#open(viewer, parent?.accountId, 'SHARE_SAVE');
      const folder = await entries.resolveFolder(viewer, parent, ['input', 'parent'], call);
      const saved = await run('shares.save', url, password, folder.entry.ref, call);
      const detail = { entries: saved.length };
      await audit.record({ userId: viewer.userId, action: 'share.save', accountId: account.id, detail });
      fresh.views = saved.map((entry) => ({ account, entry }));
      return saved.map(({ ref }) => ({ accountId: account.id, ref }));
    });
    if (fresh.views) return fresh.views;
    const found = await entries.findMany(viewer, keys);
    return found.flatMap((view) => {
      if (view instanceof Error) throw view;
      return view ?? [];
    });
  }

  /** The drive of the entries, which must be one, and their refs. */
  async #openEntries(
    viewer: Viewer,
    targets: readonly EntryTarget[],
    call: CallContext,
  ): Promise<OpenAccount & { readonly refs: readonly string[] }> {
    const { entries } = this.#options;
    const accountIds = [...new Set(targets.map((target) => target?.accountId))];
    const [opened, ...others] = await Promise.all(accountIds.map((id) => this.#open(viewer, id, 'SHARE_CREATE')));
    if (!opened) throw noSuchEntry();
    if (others.length > 0) throw InvalidInputError.at('input.entries', 'must all be in one account');
    const byRef = targets.flatMap((target) => (target && 'ref' in target ? [target] : []));
    for (const view of await entries.findMany(viewer, byRef, call)) {
      if (view === null) throw noSuchEntry();
      if (view instanceof Error) throw view;
    }
    const refs = await Promise.all(
      targets.map(async (target) =>
        target && 'ref' in target ? target.ref : (await entries.resolve(viewer, target, call)).entry.ref,
      ),
    );
    return { ...opened, refs: [...new Set(refs)] };
  }

  /** The account of an entry that a caller named. Refuses before the provider is asked for anything. */
  async #open(
    viewer: Viewer,
    accountId: string | undefined,
    ability: 'SHARE_CREATE' | 'SHARE_SAVE',
  ): Promise<OpenAccount> {
    try {
      const opened = await this.#options.accounts.open(viewer, accountId ?? '');
      if (opened.abilities.has(ability)) return opened;
      throw new UnsupportedError(`This drive (${opened.account.provider}) cannot do that: ${ability}.`, ability);
    } catch (error) {
      throw error instanceof NotFoundError ? noSuchEntry(error) : error;
    }
  }

  async #get(viewer: Viewer, key: ShareKey): Promise<ShareView> {
    const [view] = await this.#options.lists.findMany(viewer, [key]);
    if (view instanceof Error) throw view;
    if (!view) throw noSuchShare();
    return view;
  }

  /** A share that the viewer may change, as far as we know: that it is there, the provider tells. @throws NotFoundError */
  async #own(viewer: Viewer, key: ShareKey | null): Promise<{ account: Account; ref: string; record: Share | null }> {
    const { accounts, lists, records } = this.#options;
    if (!key) throw noSuchShare();
    const account = (await accounts.visibleMany(viewer, [key.accountId])).get(key.accountId);
    if (!account) throw noSuchShare();
    const known = await records.find({ userId: viewer.userId, accountId: account.id }, [key.ref]);
    const record = known.get(key.ref) ?? null;
    if (!record && !lists.isListed(viewer, account)) throw noSuchShare();
    return { account, ref: key.ref, record };
  }

  /** Writes the record and the audit together. */
  #recorded<Result>(
    { userId }: Viewer,
    { id: accountId }: Account,
    action: string,
    detail: Readonly<Record<string, string | number | boolean | readonly string[]>>,
    write: (em: Parameters<ShareRecords['add']>[0]) => Promise<Result>,
  ): Promise<Result> {
    const { storage, audit } = this.#options;
    return storage.transaction(async (em) => {
      await audit.record({ userId, action, accountId, detail }, em);
      return write(em);
    });
  }
}

/** Provider and record together: one answer for a share that is not there, whoever says so. */
async function asOurs<Result>(acting: Promise<Result>): Promise<Result> {
  try {
    return await acting;
  } catch (error) {
    throw error instanceof NotFoundError ? noSuchShare(error) : error;
  }
}

const noSuchShare = (cause?: unknown): NotFoundError => new NotFoundError('You have no such share.', { cause });

/** What is given, in the form that drivers take. What a provider allows is its driver's to say. */
function checkedOptions({ days, password, remark, ticket, traffic }: Omit<NewShare, 'entries'>): Partial<ShareOptions> {
  if (days != null && (days < 0 || days > SHARE_DAYS_MAX)) {
    throw InvalidInputError.at('input.days', `must be from 0 to ${SHARE_DAYS_MAX}`);
  }
  return {
    ...(days == null ? {} : { days: days === 0 ? null : days }),
    ...(password == null ? {} : { password: checkedText(password, 'input.password') || null }),
    ...(remark == null ? {} : { remark: checkedText(remark, 'input.remark') || null }),
    ...(traffic == null ? {} : { traffic: checkedTraffic(traffic) }),
    ...(ticket == null ? {} : { ticket: checkedText(ticket, 'input.ticket') || null }),
  };
}

function checkedTraffic({ guests, beyondQuota, limitBytes }: TrafficInput): ShareTraffic {
  return { guests: guests ?? false, beyondQuota: beyondQuota ?? false, limitBytes: limitBytes ?? null };
}

/** Refused rather than ignored where it means nothing. */
function checkTraffic(
  { driver, account }: Pick<OpenAccount, 'driver' | 'account'>,
  { traffic }: Partial<ShareOptions>,
): void {
  if (!traffic || driver.shares?.takesTraffic) return;
  throw new UnsupportedError(`${account.provider} does not let anybody else's traffic be paid.`, null);
}

function checkedText(text: string, at: string): string {
  if (text.length <= SHARE_TEXT_MAX && text.isWellFormed() && !/\p{Cc}/u.test(text)) return text;
  throw InvalidInputError.at(at, `must be at most ${SHARE_TEXT_MAX} characters of plain text`);
}

function checkedUrl(url: string): string {
  if (url.length <= SHARE_URL_MAX && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw InvalidInputError.at('input.url', 'must be the http(s) address of a share');
}
