import { Buffer } from 'node:buffer';
import type { ConflictPolicy } from '../drives/driver.ts';
import { InvalidInputError, NotFoundError, PermissionDeniedError, UnsupportedError } from '../lib/errors.ts';
import { newId } from '../lib/ids.ts';
import type { Audit } from './audit.ts';
import { type DirectLinks, LINK_PATH, LINK_REFUSALS, type LinkRefusal, type OpenedLink } from './direct-links.ts';
import { unlessMade } from './editing.ts';
import { type Entries, type EntryTarget, uncancelled } from './entries.ts';
import type { Idempotency } from './idempotency.ts';
import type { Intake } from './intake.ts';
import type { Links } from './links.ts';
import { checkedName } from './paths.ts';
import type { Transfers, TransferView } from './transfers.ts';
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
   * Copies the file behind a link of this server, by the drive itself: no byte is moved, and nothing is charged. The copy
   * is the saver's; what becomes of the link or of its file later does not touch it. Wrong keys from `address` are limited
   * as with a visit. What is behind any other address is fetched, as by {@link Intake.fromUrl}.
   * @throws InvalidInputError (no address, key missing), NotFoundError (the link or its file is gone),
   * PermissionDeniedError (wrong key), RateLimitedError, UnsupportedError (into another kind of drive), AlreadyExistsError.
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
      if (token === null) {
        const [begun] = parts.length > 0 ? await transfers.findMany(viewer, [transferId]) : [];
        if (!begun) await intake.fetch(viewer, transferId, wanted, { url: wanted.url, headers });
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

  async #copy(
    viewer: Viewer,
    wanted: LinkToSave,
    { link, file }: OpenedLink,
    transfer: { readonly id: string; readonly since: Date | null },
  ): Promise<void> {
    const { entries, transfers, audit } = this.#options;
    const { userId } = viewer;
    const folder = await entries.resolveFolder(viewer, wanted.parent, ['input', 'parent']);
    const { account, driver } = folder;
    const { copyFromAccount } = driver;
    if (!copyFromAccount || account.provider !== file.account.provider) {
      throw new UnsupportedError('This file cannot be saved into that drive yet: choose your built-in drive.', 'COPY');
    }
    const source = { accountId: file.account.id, ref: file.entry.ref };
    const options = { name: wanted.name ?? file.entry.name, onConflict: wanted.onConflict ?? 'FAIL' };
    const parentRef = folder.entry.ref;
    const entry = await unlessMade(folder, transfer.since, () =>
      copyFromAccount(source, parentRef, options, uncancelled()),
    );
    await transfers.recordDone({
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
    await audit.record({ userId, action: 'directLink.save', accountId: account.id, detail: { linkId: link.id } });
  }
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
