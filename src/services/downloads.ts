import { addMs, type Clock } from '../lib/clock.ts';
import { type Allowance, InvalidInputError, NotFoundError } from '../lib/errors.ts';
import { hashToken, newId, newToken } from '../lib/ids.ts';
import { DownloadTicket } from '../storage/entities/download.ts';
import type { ApiKey, Session, User } from '../storage/entities/identity.ts';
import type { Storage } from '../storage/orm.ts';
import type { Accounts } from './accounts.ts';
import type { DownloadAllowances } from './allowance.ts';
import { type Download, downloadOf, openFile } from './download.ts';
import type { Entries, EntryTarget } from './entries.ts';
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
}

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
    { attachment }: { readonly attachment: boolean },
  ): Promise<{ readonly ticket: IssuedTicket; readonly allowance: Allowance }> {
    const { storage, clock, entries, allowances } = this.#options;
    const { account, entry } = await entries.resolve(viewer, target);
    if (entry.kind !== 'FILE') throw InvalidInputError.at('input.file', 'is a folder: only files can be downloaded');

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
        createdAt,
        expiresAt,
      });
      return allowances.charge(viewer.userId, em);
    });
    return { ticket: { path: `${CONTENT_PATH}${token}`, expiresAt }, allowance };
  }

  /**
   * The file of a ticket, as it is now.
   * @throws NotFoundError, with one message, when there is no such ticket, it expired, or the session or API key that
   * asked for it has ended; also when the file is gone.
   */
  async open(token: string, signal: AbortSignal): Promise<Download> {
    const ticket = TICKET_TOKEN.test(token) ? await this.#find(token) : null;
    if (!ticket) throw new NotFoundError('There is no such download, or its time is over. Ask for another ticket.');
    return downloadOf(await openFile(this.#options.accounts, ticket, signal), ticket.attachment);
  }

  /** Removes expired tickets. */
  async sweep(): Promise<void> {
    const { storage, clock } = this.#options;
    await storage.fork().nativeDelete(DownloadTicket, { expiresAt: { $lte: clock.now() } });
  }

  /** The ticket, while what it was given to still counts. */
  async #find(token: string): Promise<Pick<DownloadTicket, 'userId' | 'accountId' | 'ref' | 'attachment'> | null> {
    const { storage, clock } = this.#options;
    const now = clock.now();
    const row = await storage
      .fork()
      .getKysely<{ DownloadTicket: DownloadTicket; User: User; Session: Session; ApiKey: ApiKey }>({
        tableNamingStrategy: 'entity',
        columnNamingStrategy: 'property',
        convertValues: true,
        type: 'read',
      })
      .selectFrom('DownloadTicket as ticket')
      .innerJoin('User as user', 'user.id', 'ticket.userId')
      .leftJoin('Session as session', 'session.id', 'ticket.grantId')
      .leftJoin('ApiKey as key', 'key.id', 'ticket.grantId')
      .select(['ticket.userId', 'ticket.accountId', 'ticket.ref', 'ticket.attachment'])
      .where('ticket.tokenHash', '=', hashToken(token))
      .where('ticket.expiresAt', '>', now)
      .where('user.disabledAt', 'is', null)
      .where(({ or, and, eb }) =>
        or([
          and([eb('session.revokedAt', 'is', null), eb('session.expiresAt', '>', now)]),
          and([
            eb('key.id', 'is not', null),
            eb('key.revokedAt', 'is', null),
            or([eb('key.expiresAt', 'is', null), eb('key.expiresAt', '>', now)]),
          ]),
        ]),
      )
      .executeTakeFirst();
    return row ?? null;
  }
}
