import type { Ability } from '../drives/abilities.ts';
import type { AccountProfile, CallContext, Driver, StorageUsage } from '../drives/driver.ts';
import { DriveError, domainErrorOf } from '../drives/errors.ts';
import type { Drive } from '../drives/open.ts';
import { type Operation, type OperationArgs, type OperationResult, wrapActs } from '../drives/operations.ts';
import type { EventBus } from '../events/bus.ts';
import type { Clock } from '../lib/clock.ts';
import {
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
  ReauthorizationRequiredError,
  UnsupportedError,
} from '../lib/errors.ts';
import { isRowId } from '../lib/ids.ts';
import { Account } from '../storage/entities/account.ts';
import type { EntityManager, Storage } from '../storage/orm.ts';
import { type Drives, offered } from './drives.ts';
import type { ItemPage, PageQuery } from './pages.ts';
import { isAdmin, type Viewer } from './viewer.ts';

/** An account ready for use. */
export interface OpenAccount {
  readonly account: Account;
  /** The driver with the layers around it. */
  readonly driver: Driver;
  readonly abilities: ReadonlySet<Ability>;
  /** Does an act by its name; one that the driver does not have is refused as unsupported, naming the ability. */
  run<Path extends Operation>(operation: Path, ...args: OperationArgs<Path>): OperationResult<Path>;
}

/** Longest label of an account, in characters. */
export const ACCOUNT_LABEL_MAX = 128;

export interface AccountsOptions {
  readonly storage: Storage;
  readonly drives: Drives;
  readonly events: EventBus;
  readonly clock: Clock;
}

/** The linked accounts and built-in drives, and the one way to what is in them: who may see which is decided here. */
export class Accounts {
  readonly #storage: Storage;
  readonly #drives: Drives;
  readonly #events: EventBus;
  readonly #clock: Clock;
  /** For as long as the row is in somebody's hands, as one operation opens it for each thing that it asks. */
  readonly #opened = new WeakMap<Account, OpenAccount>();

  constructor({ storage, drives, events, clock }: AccountsOptions) {
    this.#storage = storage;
    this.#drives = drives;
    this.#events = events;
    this.#clock = clock;
  }

  /**
   * The account, if the viewer may see it: an own or a shared one.
   * @throws NotFoundError otherwise, whether it exists or not.
   */
  async visible(viewer: Viewer, accountId: string): Promise<Account> {
    return this.#find(viewer.userId, accountId);
  }

  /** The accounts that the viewer may see, by id; what is not there is not for them to see. */
  async visibleMany(viewer: Viewer, accountIds: readonly string[]): Promise<ReadonlyMap<string, Account>> {
    const ids = accountIds.filter(isRowId);
    if (ids.length === 0) return new Map();
    const accounts = await findVisible(this.#storage.fork(), viewer.userId, ids);
    return new Map(accounts.map((account) => [account.id, account]));
  }

  /** All accounts that the viewer may use: the built-in drive first, then in the order in which they were linked. */
  async all(viewer: Viewer): Promise<readonly Account[]> {
    return (await findVisible(this.#storage.fork(), viewer.userId)).toSorted(byPlace);
  }

  /**
   * The accounts of a user that the viewer may see: of oneself the own and the shared ones, of others the shared ones.
   * @throws InvalidInputError when `after` is no cursor of such a list.
   */
  async page(viewer: Viewer, userId: string, { limit, after }: PageQuery): Promise<ItemPage<Account>> {
    const visible = await this.all(viewer);
    const accounts = userId === viewer.userId ? visible : visible.filter(({ shared }) => shared);
    if (after !== null && !isPlace(after)) throw InvalidInputError.at('after', 'must be a cursor that this list gave');
    const following = after === null ? accounts : accounts.filter((account) => placeOf(account) > after);
    const items = following.slice(0, limit);
    return { items, cursors: items.map(placeOf), hasNextPage: following.length > limit };
  }

  /**
   * The account's drive for the viewer. Its acts throw domain errors, for the caller of the API.
   * @throws NotFoundError, ReauthorizationRequiredError, PermissionDeniedError (disabled), UnsupportedError.
   */
  async open(viewer: Viewer, accountId: string): Promise<OpenAccount> {
    return this.openVisible(await this.visible(viewer, accountId));
  }

  /** As {@link open}, for an account that was just found visible. */
  openVisible(account: Account): OpenAccount {
    const known = this.#opened.get(account);
    if (known) return known;
    const drive = this.#openDrive(account);
    const driver = this.#withDomainErrors(drive.driver, account.id);
    const opened: OpenAccount = {
      account,
      driver,
      abilities: drive.abilities,
      run: <Path extends Operation>(operation: Path, ...args: OperationArgs<Path>) =>
        this.#translated(account.id, drive.run(operation, ...args) as Promise<unknown>) as OperationResult<Path>,
    };
    this.#opened.set(account, opened);
    return opened;
  }

  /**
   * The account's drive for a job of the user. Its acts throw DriveErrors, by whose category the job decides.
   * @throws as {@link open}.
   */
  async openForUser(userId: string, accountId: string): Promise<OpenAccount> {
    const account = await this.#find(userId, accountId);
    return { ...this.#openDrive(account), account };
  }

  /** What the account can do; nothing where this server has no driver for it. Contacts nobody. */
  abilities(account: Account): readonly Ability[] {
    return offered(this.#drives.open(account.provider, account)?.abilities ?? new Set());
  }

  /** Who the account is at its provider; null where the provider does not tell. */
  async profile(account: Account, call: CallContext): Promise<AccountProfile | null> {
    return (await this.openVisible(account).driver.profile?.(call)) ?? null;
  }

  /** How full the drive is; null where the provider does not tell. */
  async usage(account: Account, call: CallContext): Promise<StorageUsage | null> {
    return (await this.openVisible(account).driver.usage?.(call)) ?? null;
  }

  /**
   * Changes what is given, for who {@link mayManage} the account.
   * @throws NotFoundError, PermissionDeniedError, InvalidInputError.
   */
  async update(viewer: Viewer, accountId: string, changes: { readonly label?: string }): Promise<Account> {
    const account = await this.visible(viewer, accountId);
    if (!mayManage(viewer, account)) {
      throw new PermissionDeniedError('Only an administrator can change this account.');
    }
    const label = changes.label === undefined ? account.label : validLabel(changes.label);
    if (label === account.label) return account;
    await this.#storage.fork().nativeUpdate(Account, { id: account.id }, { label, updatedAt: this.#clock.now() });
    await this.#events.publish('account.changed', { accountId: account.id });
    return this.visible(viewer, accountId);
  }

  async #find(userId: string, accountId: string): Promise<Account> {
    if (!isRowId(accountId)) throw noSuchAccount();
    const [account] = await findVisible(this.#storage.fork(), userId, [accountId]);
    if (!account) throw noSuchAccount();
    return account;
  }

  #openDrive(account: Account): Drive {
    if (account.status === 'DISABLED') throw new PermissionDeniedError(`The account “${account.label}” is disabled.`);
    if (account.status === 'NEEDS_REAUTHORIZATION') {
      throw new ReauthorizationRequiredError(
        `The account “${account.label}” must be authorized again: link it once more.`,
        account.id,
      );
    }
    const drive = this.#drives.open(account.provider, account);
    if (!drive) throw new UnsupportedError(`This server has no driver for ${account.provider}.`, null);
    return drive;
  }

  #withDomainErrors(driver: Driver, accountId: string): Driver {
    return wrapActs(
      driver,
      (_path, act) =>
        (...args) =>
          this.#translated(accountId, act(...args)),
    );
  }

  async #translated<Result>(accountId: string, acting: Promise<Result>): Promise<Result> {
    try {
      return await acting;
    } catch (error) {
      throw error instanceof DriveError ? domainErrorOf(error, accountId, this.#clock.now()) : error;
    }
  }
}

/** Whether a viewer who sees the account may change, unlink and authorize it: its owner; of a shared one, administrators. */
export const mayManage = (viewer: Viewer, { ownerId, shared }: Pick<Account, 'ownerId' | 'shared'>): boolean =>
  shared ? isAdmin(viewer) : ownerId === viewer.userId;

const noSuchAccount = (): NotFoundError => new NotFoundError('There is no such account.');

/** Written out, as nearly every request comes here: the ORM takes ten times as long to build the same statement anew. */
async function findVisible(em: EntityManager, userId: string, ids?: readonly string[]): Promise<Account[]> {
  const rows: object[] = await em.execute(
    `select * from accounts where (owner_id = ? or shared) ${ids ? 'and id in (?)' : ''}`,
    ids ? [userId, ids] : [userId],
    { connectionType: 'read' },
  );
  return rows.map((row) => em.map(Account, row));
}

/** Sorts the built-in drive first, then by age: ids of rows grow with time. */
const placeOf = ({ provider, id }: Account): string => `${provider === 'LOCAL' ? 0 : 1}.${id}`;

const isPlace = (cursor: string): boolean => /^[01]\./.test(cursor) && isRowId(cursor.slice(2));

const byPlace = (left: Account, right: Account): number => (placeOf(left) < placeOf(right) ? -1 : 1);

/** The label without spaces around it. @throws InvalidInputError */
export function validLabel(label: string): string {
  const trimmed = label.trim();
  if (trimmed === '' || trimmed.length > ACCOUNT_LABEL_MAX || /\p{Cc}/u.test(trimmed) || !trimmed.isWellFormed()) {
    throw InvalidInputError.at('input.label', `must be from 1 to ${ACCOUNT_LABEL_MAX} characters of plain text`);
  }
  return trimmed;
}
