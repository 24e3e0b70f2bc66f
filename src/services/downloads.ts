import type { CallContext, ProviderLink } from '../drives/driver.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import {
  type Allowance,
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
  UnsupportedError,
} from '../lib/errors.ts';
import { hashToken, newId, newToken } from '../lib/ids.ts';
import { DownloadTicket } from '../storage/entities/download.ts';
import type { Storage } from '../storage/orm.ts';
import type { Accounts } from './accounts.ts';
import type { DownloadAllowances } from './allowance.ts';
import { type Download, downloadOf, type FileBinding, openFile } from './download.ts';
import { type Entries, type EntryTarget, type ResolvedEntry, uncancelled } from './entries.ts';
import type { Viewer } from './viewer.ts';

/** Where tickets are redeemed. */
export const CONTENT_PATH = '/content/';

/** Life of a ticket: enough to resume a large download after an outage. A download that began goes on beyond it. */
export const TICKET_MS = 3_600_000;

const TICKET_TOKEN = /^[A-Za-z0-9_-]{43}$/;

export interface DownloadsOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly allowances: DownloadAllowances;
}

/** A ticket as it is handed out: the path holds its token, which is not kept. */
export interface IssuedTicket {
  readonly path: string;
  readonly expiresAt: Date;
  /** What the provider wants of who follows its link; null: the bytes come by way of this server. */
  readonly redirect: { readonly headers: ProviderLink['headers'] } | null;
}

export interface TicketOptions {
  readonly attachment: boolean;
  /** To the provider itself, where it has a link that a client can follow; else by way of this server. */
  readonly redirect: boolean;
}

/** What a ticket gives. */
export type Redeemed =
  | { readonly kind: 'file'; readonly download: Download }
  | { readonly kind: 'redirect'; readonly url: string };

/** The bytes of files, for who has asked for them by a mutation: the short-lived right is a ticket. */
export class Downloads {
  readonly #options: DownloadsOptions;

  constructor(options: DownloadsOptions) {
    this.#options = options;
  }

  /**
   * Gives the right to one file's bytes, and charges it to the viewer's daily allowance: once, however often and in
   * however many parts it is used. Nothing is charged unless a ticket is given.
   * @throws AllowanceExceededError; NotFoundError; InvalidInputError for a folder; also what the drive throws.
   */
  async createTicket(
    viewer: Viewer,
    target: EntryTarget,
    { attachment, redirect }: TicketOptions,
  ): Promise<{ readonly ticket: IssuedTicket; readonly allowance: Allowance }> {
    const { storage, clock, entries, allowances } = this.#options;
    const resolved = await entries.resolve(viewer, target);
    const { account, entry } = resolved;
    if (entry.kind !== 'FILE') throw InvalidInputError.at('input.file', 'is a folder: only files can be downloaded');
    const link = redirect ? await linkOf(resolved, uncancelled()) : null;

    const token = newToken();
    const createdAt = clock.now();
    const expiresAt = addMs(createdAt, TICKET_MS);
    const allowance = await storage.transaction(async (em) => {
      await em.insert(DownloadTicket, {
        id: newId(),
        tokenHash: hashToken(token),
        userId: viewer.userId,
        grantId: viewer.grantId,
        accountId: account.id,
        ref: entry.ref,
        attachment,
        redirect: link !== null,
        createdAt,
        expiresAt,
      });
      return allowances.charge(viewer.userId, em);
    });
    return { ticket: { path: `${CONTENT_PATH}${token}`, expiresAt, redirect: link }, allowance };
  }

  /**
   * The file of a ticket, as it is now; of one that redirects, a fresh link of the provider's.
   * @throws NotFoundError, with one message, when there is no such ticket, it expired, or the session or API key that
   * asked for it has ended; also when the file is gone.
   */
  async redeem(token: string, signal: AbortSignal): Promise<Redeemed> {
    const ticket = TICKET_TOKEN.test(token) ? await this.#find(token) : null;
    if (!ticket) throw new NotFoundError('There is no such download, or its time is over. Ask for another ticket.');
    const file = await openFile(this.#options.accounts, ticket, signal);
    const link = ticket.redirect ? await linkOf(file, { signal }) : null;
    if (link) return { kind: 'redirect', url: link.url };
    return { kind: 'file', download: downloadOf(file, ticket.attachment) };
  }

  /** Removes expired tickets. */
  async sweep(): Promise<void> {
    const { storage, clock } = this.#options;
    await storage.fork().nativeDelete(DownloadTicket, { expiresAt: { $lte: clock.now() } });
  }

  /** The ticket, while what it was given to still counts. */
  async #find(token: string): Promise<Ticket | null> {
    const now = this.#options.clock.now();
    const [row] = await this.#options.storage.read<TicketRow>(FIND_TICKET, [hashToken(token), now, now, now]);
    if (!row) return null;
    return {
      userId: row.user_id,
      accountId: row.account_id,
      ref: row.ref,
      attachment: Boolean(row.attachment),
      redirect: Boolean(row.redirect),
    };
  }
}

type Ticket = FileBinding & TicketOptions;

/** A link of the provider's to the file; null where it gives none, or not of this one. */
async function linkOf(
  { driver, entry }: Pick<ResolvedEntry, 'driver' | 'entry'>,
  call: CallContext,
): Promise<ProviderLink | null> {
  try {
    return (await driver.link?.(entry.ref, call)) ?? null;
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof PermissionDeniedError) return null;
    throw error;
  }
}

interface TicketRow {
  readonly user_id: string;
  readonly account_id: string;
  readonly ref: string;
  /** 0 or 1 on SQLite. */
  readonly attachment: boolean | number;
  readonly redirect: boolean | number;
}

/** In SQL, as every part of every download passes here: the query builder would take longer than the query. */
const FIND_TICKET = `
  select t.user_id, t.account_id, t.ref, t.attachment, t.redirect
  from download_tickets t
  join users u on u.id = t.user_id
  left join sessions s on s.id = t.grant_id
  left join api_keys k on k.id = t.grant_id
  where t.token_hash = ? and t.expires_at > ? and u.disabled_at is null and (
    (s.id is not null and s.revoked_at is null and s.expires_at > ?) or
    (k.id is not null and k.revoked_at is null and (k.expires_at is null or k.expires_at > ?)))`;
