import { Buffer } from 'node:buffer';
import { Readable } from 'node:stream';
import type { ConflictPolicy } from '../drives/driver.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import {
  AllowanceExceededError,
  InvalidInputError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitedError,
  ReauthorizationRequiredError,
  UnavailableError,
  UnsupportedError,
} from '../lib/errors.ts';
import { newId } from '../lib/ids.ts';
import { wantedHashes } from '../transfers/hasher.ts';
import type { LinkedFile } from '../transfers/link-source.ts';
import type { TransferWorks } from '../transfers/open.ts';
import { STATE_DEADLINES_MS } from '../transfers/states.ts';
import type { Audit } from './audit.ts';
import { type DirectLinks, LINK_PATH, LINK_REFUSALS, type LinkRefusal, type OpenedLink } from './direct-links.ts';
import { unlessMade } from './editing.ts';
import { type Entries, type EntryTarget, type ResolvedEntry, uncancelled } from './entries.ts';
import type { Idempotency } from './idempotency.ts';
import type { Intake } from './intake.ts';
import type { Links } from './links.ts';
import { checkedName } from './paths.ts';
import type { Transfers, TransferView } from './transfers.ts';
import type { UploadPlanner } from './upload-planner.ts';
import type { Viewer } from './viewer.ts';

export interface LinkToSave {
  /** As it was handed out. A link of ours is known by its signature, whatever its host; any other address is fetched. */
  readonly url: string;
  readonly key?: string | null | undefined;
  readonly parent: EntryTarget;
  /** Null: the name that the file has. */
  readonly name?: string | null | undefined;
  /** Default FAIL. */
  readonly onConflict?: ConflictPolicy | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
}

export interface LinkSavingOptions {
  readonly directLinks: DirectLinks;
  readonly entries: Entries;
  readonly transfers: Transfers;
  readonly idempotency: Idempotency;
  readonly audit: Audit;
  readonly intake: Intake;
  readonly links: Links;
  readonly planner: UploadPlanner;
  readonly works: TransferWorks;
  readonly clock: Clock;
}

/** Carries the key to a link of another server like this one. */
const KEY_HEADER = 'x-link-key';

/** Saves files behind direct links into the saver's own drive. */
export class LinkSaving {
  readonly #options: LinkSavingOptions;

  constructor(options: LinkSavingOptions) {
    this.#options = options;
  }

  /**
   * Copies the file behind a link of this server: by the drive itself where it can, so that no byte is moved and nothing
   * is charged; else by a job, which reads it as a visitor does, for as long as the link works. The copy is the saver's:
   * what becomes of the link or of its file later does not touch it. Wrong keys from `address` are limited as with a
   * visit. What is behind any other address is fetched, as by {@link Intake.fromUrl}.
   * @throws InvalidInputError (no address, key missing), NotFoundError (the link or its file is gone),
   * PermissionDeniedError (wrong key), RateLimitedError, UnsupportedError (the drive takes no uploads), TooLargeError,
   * AlreadyExistsError.
   */
  async save(viewer: Viewer, wanted: LinkToSave, address: string): Promise<TransferView> {
    const { idempotency, transfers, intake } = this.#options;
    const { idempotencyKey, key: _secret, ...input } = wanted; // A stored hash of a short key would give it away.
    const token = this.#ownToken(wanted.url);
    const headers = token === null ? this.#headersFor(wanted) : {};
    if (wanted.name != null) checkedName(wanted.name, ['input', 'name']);
    const request = { operation: 'saveDirectLink', key: idempotencyKey, input };
    const id = await idempotency.once<string, string>(viewer, request, async ({ since, parts, keep }) => {
      const transferId = parts[0] ?? newId();
      if (parts.length === 0) await keep(transferId);
      const [begun] = parts.length > 0 ? await transfers.findMany(viewer, [transferId]) : [];
      if (begun) return transferId;
      if (token === null) {
        await intake.fetch(viewer, transferId, wanted, { url: wanted.url, headers });
        return transferId;
      }
      const visitor = { key: wanted.key ?? null, address };
      const opened = await this.#options.directLinks.open(token, visitor, uncancelled().signal);
      if ('refusal' in opened) throw refusalError(opened.refusal);
      await this.#copy(viewer, wanted, opened, { id: transferId, since });
      return transferId;
    });
    return transfers.get(viewer, id);
  }

  /** Null: it is a link of somebody else's. */
  #ownToken(url: string): string | null {
    const { directLinks, links } = this.#options;
    const parsed = URL.parse(url);
    const at = parsed?.pathname.lastIndexOf(LINK_PATH) ?? -1;
    if (!parsed || at < 0) return null;
    const token = parsed.pathname.slice(at + LINK_PATH.length);
    return directLinks.isOwn(token) || parsed.origin === new URL(links.absolute('/')).origin ? token : null;
  }

  /** @throws InvalidInputError when the address cannot be fetched, or the key cannot be sent. */
  #headersFor({ url, key }: LinkToSave): Readonly<Record<string, string>> {
    this.#options.intake.checkUrl(url);
    if (key == null) return {};
    if (/\p{Cc}/u.test(key)) throw InvalidInputError.at('input.key', 'must not contain control characters');
    // In UTF-8, as headers of other letters are read here.
    return { [KEY_HEADER]: Buffer.from(key).toString('latin1') };
  }

  /** By the drive itself where both ends are at one provider that can; else the bytes are brought over by a job. */
  async #copy(viewer: Viewer, wanted: LinkToSave, opened: OpenedLink, transfer: NewCopy): Promise<void> {
    const { entries, audit } = this.#options;
    const { link, file } = opened;
    const folder = await entries.resolveFolder(viewer, wanted.parent, ['input', 'parent']);
    const isByDrive = folder.driver.copyFromAccount !== undefined && folder.account.provider === file.account.provider;
    await (isByDrive
      ? this.#copyByDrive(viewer, wanted, file, folder, transfer)
      : this.#bring(viewer, wanted, opened, transfer.id));
    const { userId } = viewer;
    await audit.record({
      userId,
      action: 'directLink.save',
      accountId: folder.account.id,
      detail: { linkId: link.id },
    });
  }

  async #copyByDrive(
    { userId }: Viewer,
    wanted: LinkToSave,
    file: OpenedLink['file'],
    folder: ResolvedEntry,
    transfer: NewCopy,
  ): Promise<void> {
    const { account, driver } = folder;
    const source = { accountId: file.account.id, ref: file.entry.ref };
    const options = { name: wanted.name ?? file.entry.name, onConflict: wanted.onConflict ?? 'FAIL' };
    const parentRef = folder.entry.ref;
    const entry = await unlessMade(folder, transfer.since, async () => {
      if (!driver.copyFromAccount) throw new UnsupportedError('This drive does not copy from other accounts.', 'COPY');
      return driver.copyFromAccount(source, parentRef, options, uncancelled());
    });
    await this.#options.transfers.recordDone({
      id: transfer.id,
      userId,
      kind: 'COPY',
      route: 'SERVER_SIDE',
      accountId: account.id,
      parentRef,
      name: entry.name,
      bytesTotal: entry.sizeBytes,
      onConflict: options.onConflict,
      entryRef: entry.ref,
    });
  }

  async #bring(viewer: Viewer, wanted: LinkToSave, { link, file }: OpenedLink, id: string): Promise<void> {
    const { planner, works, clock } = this.#options;
    const { sizeBytes, mimeType, name } = file.entry;
    const { parent, onConflict } = wanted;
    const input = { parent, onConflict, sizeBytes, mimeType, name: wanted.name ?? name };
    const plan = await planner.plan(viewer, { id, kind: 'COPY' }, input);
    if (await planner.isSkipped(plan)) return;
    await planner.checkRoom(sizeBytes ?? 0);
    await works.store.create({
      ...plan.row,
      state: 'QUEUED',
      phase: 'RECEIVING',
      source: { type: 'link', linkId: link.id },
      hashAlgorithms: wantedHashes(file.entry.hashes, plan.folder.driver),
      expiresAt: addMs(clock.now(), STATE_DEADLINES_MS.QUEUED),
    });
  }

  /**
   * The file behind a link for a job that saves it. What is wrong with the account that it is in, is its owner's to know.
   * @throws NotFoundError, when the link works no more or its file is gone; RateLimitedError, when its owner has no
   * downloads left today; UnavailableError; what the drive throws.
   */
  async openForJob(linkId: string, signal: AbortSignal): Promise<LinkedFile> {
    const { directLinks } = this.#options;
    try {
      const opened = await directLinks.reopen(linkId, signal);
      if ('refusal' in opened) throw refusalError(opened.refusal);
      const { entry } = opened.file;
      const last = (entry.sizeBytes ?? 0) - 1;
      const read = (start: number, until: AbortSignal) =>
        opened.download.read(start === 0 ? null : { start, end: last }, until).catch(toldToSaver);
      return {
        entry,
        read: async (start, until) => (start > last && start > 0 ? Readable.from([]) : read(start, until)),
      };
    } catch (error) {
      return toldToSaver(error);
    }
  }
}

interface NewCopy {
  readonly id: string;
  /** When the first attempt began, if this one goes on after one that died. */
  readonly since: Date | null;
}

function toldToSaver(error: unknown): never {
  if (error instanceof AllowanceExceededError) {
    throw new RateLimitedError(error.message, { cause: error, retryable: true, retryAt: error.retryAt });
  }
  if (error instanceof ReauthorizationRequiredError || error instanceof PermissionDeniedError) {
    throw new UnavailableError('The file behind this link cannot be read just now; its owner has to look after it.', {
      cause: error,
    });
  }
  throw error;
}

function refusalError(refusal: LinkRefusal): Error {
  switch (refusal) {
    case 'unknown':
      return new NotFoundError('There is no such link on this server. Look whether the address is whole.');
    case 'keyNeeded':
      return InvalidInputError.at('input.key', 'is asked for by this link');
    case 'keyWrong':
      return new PermissionDeniedError(LINK_REFUSALS.keyWrong);
    default:
      return new NotFoundError(LINK_REFUSALS[refusal]);
  }
}
