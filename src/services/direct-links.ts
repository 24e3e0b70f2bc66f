import { addMs, type Clock } from '../lib/clock.ts';
import { AllowanceExceededError, ConflictError, InvalidInputError, NotFoundError } from '../lib/errors.ts';
import { isRowId, newId } from '../lib/ids.ts';
import { DirectLink } from '../storage/entities/download.ts';
import { User } from '../storage/entities/identity.ts';
import type { Storage } from '../storage/orm.ts';
import type { Accounts } from './accounts.ts';
import type { DownloadAllowances } from './allowance.ts';
import type { Audit } from './audit.ts';
import { type Download, downloadOf, openFile } from './download.ts';
import type { Entries, EntryTarget } from './entries.ts';
import { checkLinkKey, type LinkKeys, type Visitor } from './link-keys.ts';
import type { LinkClaims, LinkTokens } from './link-tokens.ts';
import type { ItemPage, PageQuery } from './pages.ts';
import { BY_ID, rowPage } from './row-pages.ts';
import type { Viewer } from './viewer.ts';

/** Where direct links lead. */
export const LINK_PATH = '/d/';

/** Life of a link for which none is asked, in seconds. */
export const LINK_LIFETIME_DEFAULT = 15 * 60;
/** Longest life of a link, in seconds: ten years. Who asks for more gets this: so far no key is sure to be kept. */
export const LINK_LIFETIME_MAX = 10 * 365 * 24 * 3600;
/** Links of one user that work at one time. */
export const LIVE_LINKS_MAX = 1_000;
/** How long a link that ended is still listed, in milliseconds. */
const ENDED_LINK_KEPT_MS = 30 * 24 * 3_600_000;

export interface NewLink {
  readonly file: EntryTarget;
  /** In seconds, from 1; more than {@link LINK_LIFETIME_MAX} is that. Null: {@link LINK_LIFETIME_DEFAULT}. */
  readonly lifetimeSeconds?: number | null | undefined;
  /** An own key; goes before `randomKey`. */
  readonly key?: string | null | undefined;
  readonly randomKey?: boolean | null | undefined;
}

/** A link as its owner sees it. */
export interface OwnLink {
  readonly link: DirectLink;
  readonly path: string;
  /** Only in the answer that made it: afterwards nobody knows it. */
  readonly key: string | null;
}

/** Why a link does not open, in words for its visitor. */
export const LINK_REFUSALS = {
  unknown: 'There is no such link. Look whether the address is whole.',
  expired: 'The time of this link is over. Ask for another one.',
  revoked: 'This link was withdrawn. Ask for another one.',
  keyNeeded: 'This link asks for a key.',
  keyWrong: 'That is not the key of this link.',
} as const;
export type LinkRefusal = keyof typeof LINK_REFUSALS;

/** What a visitor with a good link, and its key, has the right to. */
export interface OpenedLink {
  readonly link: DirectLink;
  readonly file: Awaited<ReturnType<typeof openFile>>;
  readonly download: Download;
}

export interface DirectLinksOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly accounts: Accounts;
  readonly entries: Entries;
  readonly allowances: DownloadAllowances;
  readonly audit: Audit;
  readonly tokens: LinkTokens;
  readonly keys: LinkKeys;
}

/** Our own signed links to single files, for people without an account here. */
export class DirectLinks {
  readonly #options: DirectLinksOptions;

  constructor(options: DirectLinksOptions) {
    this.#options = options;
  }

  /**
   * Makes a link to a file. Bound to the file's id: it follows a rename or a move, and ends with the file.
   * @throws InvalidInputError; NotFoundError; ConflictError with {@link LIVE_LINKS_MAX} links; also what the drive throws.
   */
  async create(viewer: Viewer, wanted: NewLink): Promise<OwnLink> {
    const { storage, clock, entries, audit, keys } = this.#options;
    const lifetime = wanted.lifetimeSeconds ?? LINK_LIFETIME_DEFAULT;
    if (!Number.isInteger(lifetime) || lifetime < 1) {
      throw InvalidInputError.at('input.lifetimeSeconds', 'must be at least 1');
    }
    const key = wanted.key ?? (wanted.randomKey ? keys.random() : null);
    if (key !== null) checkLinkKey(key);
    const { account, entry } = await entries.resolve(viewer, wanted.file);
    if (entry.kind !== 'FILE') throw InvalidInputError.at('input.file', 'is a folder: a direct link leads to one file');

    // Whole seconds, as in the token: both end at the same moment.
    const createdAt = new Date(Math.floor(clock.now().getTime() / 1000) * 1000);
    const link = {
      id: newId(),
      userId: viewer.userId,
      accountId: account.id,
      ref: entry.ref,
      keyHash: key === null ? null : await keys.hash(key),
      chargedDay: null,
      createdAt,
      expiresAt: addMs(createdAt, Math.min(lifetime, LINK_LIFETIME_MAX) * 1000),
      revokedAt: null,
    };
    await storage.transaction(async (em) => {
      if ((await em.count(DirectLink, this.#live(viewer.userId))) >= LIVE_LINKS_MAX) {
        throw new ConflictError(`You have ${LIVE_LINKS_MAX} links that work. Revoke some first.`);
      }
      await em.insert(DirectLink, link);
      const detail = { linkId: link.id, keyed: key !== null, expiresAt: link.expiresAt.toISOString() };
      await audit.record({ userId: viewer.userId, action: 'directLink.create', accountId: account.id, detail }, em);
    });
    return this.#own(link, key);
  }

  /** The viewer's own links with these ids, in the order asked; null for what is not theirs. */
  async findMany(viewer: Viewer, ids: readonly string[]): Promise<readonly (OwnLink | null)[]> {
    const links = await this.#options.storage
      .fork()
      .find(DirectLink, { id: ids.filter(isRowId), userId: viewer.userId }, { disableIdentityMap: true });
    const byId = new Map(links.map((link) => [link.id, link]));
    return ids.map((id) => {
      const link = byId.get(id);
      return link ? this.#own(link) : null;
    });
  }

  /** The viewer's links, the newest first; `active` true: that work, false: that ended, null: all. */
  async page(viewer: Viewer, active: boolean | null, query: PageQuery): Promise<ItemPage<OwnLink>> {
    const { userId } = viewer;
    const live = this.#live(userId);
    const which = active === null ? { userId } : active ? live : { userId, $not: live };
    const page = await rowPage(query, BY_ID, (behind, limit) =>
      this.#options.storage
        .fork()
        .find(
          DirectLink,
          { $and: [which, behind === null ? {} : { id: { $lt: behind } }] },
          { orderBy: { id: 'desc' }, limit, disableIdentityMap: true },
        ),
    );
    return { ...page, items: page.items.map((link) => this.#own(link)) };
  }

  /**
   * Ends an own link at once. One that ended before stays as it is.
   * @throws NotFoundError when the viewer has no such link.
   */
  async revoke(viewer: Viewer, id: string): Promise<OwnLink> {
    const { storage, clock, audit } = this.#options;
    const { userId } = viewer;
    const link = await storage.transaction(async (em) => {
      const found = isRowId(id) ? await em.findOne(DirectLink, { id, userId }) : null;
      if (!found) throw new NotFoundError('You have no such link.');
      if (found.revokedAt) return found;
      found.revokedAt = clock.now();
      await audit.record(
        { userId, action: 'directLink.revoke', accountId: found.accountId, detail: { linkId: id } },
        em,
      );
      return found;
    });
    return this.#own(link);
  }

  /**
   * The file behind a token, for whoever has it and its key, or why not.
   *
   * A link is charged to its owner's daily allowance once on each day on which bytes are sent by it, however many
   * visitors come: the owner decides how many links there are, a stranger cannot use the allowance up. So the `read` of
   * the download throws AllowanceExceededError when the owner has none left.
   * @throws NotFoundError when the file is gone; RateLimitedError after too many wrong keys; also what the drive throws.
   */
  async open(
    token: string,
    visitor: Visitor,
    signal: AbortSignal,
  ): Promise<OpenedLink | { readonly refusal: LinkRefusal }> {
    const { keys } = this.#options;
    const link = await this.#find(token);
    if ('refusal' in link) return link;
    const { id, keyHash } = link;
    if (keyHash) {
      if (visitor.key === null) return { refusal: 'keyNeeded' };
      if (!(await keys.isRight({ id, keyHash }, visitor.key, visitor.address))) return { refusal: 'keyWrong' };
    }
    return this.#opened(link, signal);
  }

  /**
   * As {@link open}, for a job of somebody who has shown the token and the key: it has the right for as long as the link
   * works, and pays as any visitor does.
   */
  async reopen(linkId: string, signal: AbortSignal): Promise<OpenedLink | { readonly refusal: LinkRefusal }> {
    const link = await this.#working({ linkId, expired: false });
    return 'refusal' in link ? link : this.#opened(link, signal);
  }

  async #opened(link: DirectLink, signal: AbortSignal): Promise<OpenedLink> {
    const file = await openFile(this.#options.accounts, link, signal);
    const download = downloadOf(file, true);
    return {
      link,
      file,
      download: {
        ...download,
        read: async (span, reading) => {
          await this.#charge(link);
          return download.read(span, reading);
        },
      },
    };
  }

  /** Whether it is the token of a link of this server, whatever became of that. */
  isOwn(token: string): boolean {
    return this.#options.tokens.read(token) !== null;
  }

  /** Removes links that ended long ago. */
  async sweep(): Promise<void> {
    const { storage, clock } = this.#options;
    const before = addMs(clock.now(), -ENDED_LINK_KEPT_MS);
    await storage
      .fork()
      .nativeDelete(DirectLink, { $or: [{ expiresAt: { $lt: before } }, { revokedAt: { $lt: before } }] });
  }

  async #find(token: string): Promise<DirectLink | { readonly refusal: LinkRefusal }> {
    const claims = this.#options.tokens.read(token);
    return claims ? this.#working(claims) : { refusal: 'unknown' };
  }

  async #working({ linkId, expired }: LinkClaims): Promise<DirectLink | { readonly refusal: LinkRefusal }> {
    const { storage, clock } = this.#options;
    const em = storage.fork();
    const link = await em.findOne(DirectLink, { id: linkId }, { disableIdentityMap: true });
    if (link?.revokedAt) return { refusal: 'revoked' };
    if (expired || (link && link.expiresAt <= clock.now())) return { refusal: 'expired' };
    const owners = link ? await em.count(User, { id: link.userId, disabledAt: null }) : 0;
    return link && owners > 0 ? link : { refusal: 'unknown' };
  }

  async #charge(link: DirectLink): Promise<void> {
    const { storage, allowances } = this.#options;
    const today = allowances.today().name;
    if (link.chargedDay === today) return;
    try {
      await storage.transaction(async (em) => {
        const uncharged = { id: link.id, $or: [{ chargedDay: null }, { chargedDay: { $ne: today } }] };
        const claimed = await em.nativeUpdate(DirectLink, uncharged, { chargedDay: today });
        if (claimed > 0) await allowances.charge(link.userId, em);
      });
    } catch (error) {
      if (!(error instanceof AllowanceExceededError)) throw error;
      const { allowance } = error;
      throw new AllowanceExceededError(
        `The owner of this link has no downloads left today. It works again from ${allowance.resetsAt.toISOString()} on.`,
        allowance,
      );
    }
  }

  #live(userId: string) {
    return { userId, revokedAt: null, expiresAt: { $gt: this.#options.clock.now() } };
  }

  #own(link: DirectLink, key: string | null = null): OwnLink {
    return { link, path: `${LINK_PATH}${this.#options.tokens.of(link)}`, key };
  }
}
