import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import { sleep, type Timer } from '../../lib/timer.ts';
import type { Transport } from '../../transport/outbound.ts';
import type { OutboundRequest, QueryValues } from '../../transport/request.ts';
import type { Pan115Services, Pan115Settings } from '../cloud.ts';
import type { CallContext, DriveAccount } from '../driver.ts';
import { classify, isMissing, notFound, PROVIDER, pan115Error, TITLE } from './errors.ts';
import { originsOf, USER_AGENT } from './hosts.ts';
import { parsed } from './linking.ts';
import { RATES } from './rates.ts';
import { type Recent, recentOf } from './recent.ts';
import { FILE_LIST, type FileList, INFO, namesBelowRoot, REF, ROOT_REF, TEXT_KEYS, type WireFile } from './wire.ts';

/** Longest page of a folder's list. A larger one is answered like too many requests. */
export const LIST_PAGE_MAX = 1150;
/** What another program just made may not be found at once: the wait before it is looked for again, in milliseconds. */
const FRESH_MS = 1_500;
/** Waits until what this server made is seen, which takes up to 10 s, in milliseconds. */
const LOOK_WAITS_MS = [1_000, 2_000, 3_000, 4_000];
/** Facts about a folder count all that is below it, which takes 115 long for a large one. */
const INFO_TIMEOUT_MS = 90_000;

/** A page of a folder, as 115 tells it. */
export interface FolderPage {
  readonly files: readonly WireFile[];
  /** Of the page, hidden entries included: where the next one begins. */
  readonly length: number;
  /** Null: not told. */
  readonly total: number | null;
  /** Nothing follows. */
  readonly isLast: boolean;
  /** The folders on the way to this one, itself the last, by id; empty where 115 does not tell. */
  readonly chain: readonly string[];
  /** The names of these folders without the root's; null where 115 does not tell. */
  readonly above: readonly string[] | null;
}

/** How the parts of the driver speak with 115 about one account. */
export class Pan115Client {
  readonly settings: Pan115Settings;
  readonly services: Pan115Services;
  readonly timer: Timer;
  readonly accountId: string;
  readonly now: () => Date;
  readonly recent: Recent;
  readonly #transport: Transport;

  constructor({ id }: DriveAccount, services: Pan115Services) {
    const { outbound, tokensOf, pan115, timer, clock } = services;
    this.services = services;
    this.settings = pan115;
    this.timer = timer;
    this.accountId = id;
    this.now = () => clock.now();
    this.recent = recentOf(services, id);
    this.#transport = outbound.transport({
      provider: PROVIDER,
      title: TITLE,
      accountId: id,
      classify,
      baseUrl: pan115.apiUrl,
      headers: { 'user-agent': USER_AGENT },
      credentials: {
        tokens: tokensOf({ id, provider: PROVIDER }),
        authorize: (request, token) => ({
          ...request,
          headers: { ...request.headers, authorization: `Bearer ${token}` },
        }),
      },
      rates: RATES,
      // A limit is the account's: whoever goes on asking elsewhere makes it last longer.
      pauses: () => 'account',
      textKeys: TEXT_KEYS,
      trustedOrigins: originsOf(pan115),
    });
  }

  async #send(
    request: Omit<OutboundRequest<'json'>, 'auth' | 'signal' | 'priority' | 'as'>,
    { signal, priority }: CallContext,
  ) {
    return this.#transport.send<'json'>({
      ...request,
      as: 'json',
      auth: true,
      signal,
      ...(priority ? { priority } : {}),
    });
  }

  /** Asks, and changes nothing: equal questions at one time are one. */
  async get<Schema extends z.ZodType>(
    schema: Schema,
    endpoint: string,
    url: string,
    query: QueryValues,
    call: CallContext,
    timeoutMs?: number,
  ): Promise<z.infer<Schema>> {
    const request = { method: 'GET', url, query, endpoint, idempotent: true, shareable: true } as const;
    const { body } = await this.#send(timeoutMs === undefined ? request : { ...request, timeoutMs }, call);
    return parsed(schema, body);
  }

  async post<Schema extends z.ZodType>(
    schema: Schema,
    endpoint: string,
    post: Post,
    call: CallContext,
  ): Promise<z.infer<Schema>> {
    return (await this.exchange(schema, endpoint, post, call)).body;
  }

  /** As {@link post}, with the headers of the answer. */
  async exchange<Schema extends z.ZodType>(
    schema: Schema,
    endpoint: string,
    { url, form, idempotent = false, timeoutMs }: Post,
    call: CallContext,
  ): Promise<{ readonly body: z.infer<Schema>; readonly headers: Headers }> {
    const request = { method: 'POST', url, body: { form }, endpoint, idempotent } as const;
    const answer = await this.#send(timeoutMs === undefined ? request : { ...request, timeoutMs }, call);
    return { body: parsed(schema, answer.body), headers: answer.headers };
  }

  /** An entry by its id. @throws DriveError `not_found` */
  async info(ref: string, call: CallContext): Promise<WireFile> {
    if (!REF.test(ref)) throw notFound();
    const found = await this.#infoNow(ref, call);
    if (found) return found;
    const made = this.recent.find(ref);
    if (made) return this.#madeNow(made, call);
    // What another program made just now is found a little later.
    await sleep(this.timer, FRESH_MS, call.signal);
    const later = await this.#infoNow(ref, call);
    if (!later) throw notFound();
    return later;
  }

  /** What this server made a moment ago, as its folder lists it; as 115 said itself when it was made, until that does. */
  async #madeNow(made: WireFile, call: CallContext): Promise<WireFile> {
    const { id, parentId } = made;
    if (parentId === null) return made;
    const { data, cid } = await this.#direct(
      { ...DIRECT, cid: parentId, limit: LIST_PAGE_MAX, offset: 0 },
      undefined,
      call,
    );
    const listed = cid === undefined || cid === parentId ? data.find(({ file }) => file.id === id)?.file : undefined;
    const file = { ...(listed ?? made), name: made.name, parentId };
    return made.above === null ? this.#placed(file, call) : { ...file, above: made.above };
  }

  /** With the names of the folders above, which the call that made it did not tell. */
  async #placed(file: WireFile, call: CallContext): Promise<WireFile> {
    const { parentId } = file;
    if (parentId === null) return file;
    if (parentId === ROOT_REF) return { ...file, above: [] };
    const { above, name } = await this.info(parentId, call);
    return { ...file, above: above && [...above, name] };
  }

  async #infoNow(ref: string, call: CallContext): Promise<WireFile | null> {
    const url = '/open/folder/get_info';
    const answer = await orNull(this.get(INFO, 'info', url, { file_id: ref }, call, INFO_TIMEOUT_MS));
    return answer?.data ?? null;
  }

  /** An entry by its path, as `/a/b`; null when there is none, or it is too new. */
  async infoAt(path: string, call: CallContext): Promise<WireFile | null> {
    const post = { url: '/open/folder/get_info', form: { path }, idempotent: true, timeoutMs: INFO_TIMEOUT_MS };
    return (await orNull(this.post(INFO, 'info', post, call)))?.data ?? null;
  }

  /** Looks again and again for what must be there: what was just made, renamed or uploaded is not in lists at once. */
  async patiently<Found>(look: () => Promise<Found | null>, call: CallContext): Promise<Found | null> {
    for (const waitMs of [0, ...LOOK_WAITS_MS]) {
      if (waitMs > 0) await sleep(this.timer, waitMs, call.signal);
      const found = await look();
      if (found !== null) return found;
    }
    return null;
  }

  /**
   * Does what needs an entry that may have just been made: 115 may say for a moment that it is not there. Only what was
   * refused as missing is done again.
   */
  async onceKnown<Result>(refs: readonly string[], act: () => Promise<Result>, call: CallContext): Promise<Result> {
    for (const waitMs of LOOK_WAITS_MS) {
      try {
        return await act();
      } catch (error) {
        if (!isMissing(error) || !refs.some((ref) => this.recent.find(ref))) throw error;
        await sleep(this.timer, waitMs, call.signal);
      }
    }
    return act();
  }

  /**
   * A page of what is directly in a folder. Asked for a folder that is not there, 115 lists another one.
   * @throws DriveError `not_found`, or `wrong_kind` for a file
   */
  async page(folderRef: string, { offset, limit, order }: PageOf, call: CallContext): Promise<FolderPage> {
    if (folderRef !== ROOT_REF && !REF.test(folderRef)) throw notFound();
    const list = await this.patiently(() => this.#listed(folderRef, { offset, limit, order }, call), call);
    if (!list) throw pan115Error('unavailable', 'has this folder, but does not show what is in it yet.', null, {});
    const chain = list.path.at(-1)?.cid === folderRef ? list.path : [];
    const above = chain.length === 0 ? null : namesBelowRoot(chain.map(({ cid, name }) => ({ id: cid, name })));
    const files = list.data.flatMap(({ isGone, file }) => (isGone ? [] : [{ ...file, parentId: folderRef, above }]));
    const isLast = list.data.length === 0 || (list.count !== undefined && offset + list.data.length >= list.count);
    const shown = offset === 0 && isLast ? this.#withMade(folderRef, files) : files;
    return {
      files: shown,
      length: list.data.length,
      total: list.count === undefined ? null : list.count + shown.length - files.length,
      isLast,
      chain: chain.map(({ cid }) => cid),
      above,
    };
  }

  /** Null: it is there, but 115 does not list it yet. */
  async #listed(folderRef: string, { offset, limit, order }: PageOf, call: CallContext): Promise<FileList | null> {
    const list = await this.#direct({ ...DIRECT, cid: folderRef, limit, offset }, order, call);
    if (list.cid === undefined || list.cid === folderRef) return list;
    const { isFolder } = await this.info(folderRef, call);
    if (!isFolder) throw pan115Error('wrong_kind', 'has a file there, not a folder.', null, {});
    return null;
  }

  /** Some folders have an order of their own only: where none was asked for, that is as good. */
  async #direct(query: QueryValues, order: Order | undefined, call: CallContext): Promise<FileList> {
    const { o, asc } = order ?? BY_NAME;
    try {
      return await this.files({ ...query, custom_order: 1, o, asc }, call);
    } catch (error) {
      if (order || !(error instanceof DriveError) || error.providerCode !== ORDER_UNSUPPORTED) throw error;
      return this.files(query, call);
    }
  }

  files(query: QueryValues, call: CallContext): Promise<FileList> {
    return this.get(FILE_LIST, 'list', '/open/ufile/files', query, call);
  }

  /**
   * A folder with whatever has that name in it, and maybe others. Of a large folder not all pages are read: 115 is asked
   * for the name by its path, where what is some seconds old is found.
   */
  async folderWith(folderRef: string, name: string, call: CallContext): Promise<Folder> {
    const listed = await this.page(folderRef, { offset: 0, limit: LIST_PAGE_MAX }, call);
    const first = { ...listed, files: this.#withMade(folderRef, listed.files) };
    if (first.isLast || first.files.some((file) => file.name === name)) return first;
    const path = first.above && [...first.above, name];
    if (!path || path.some((segment) => /[/>]/.test(segment))) return this.children(folderRef, call);
    const found = await this.infoAt(`/${path.join('/')}`, call);
    const isThere = found?.name === name && found.parentId === folderRef;
    return { ...first, files: isThere ? [...first.files, found] : first.files };
  }

  /** What is listed, corrected by what this server did too short a while ago for that. */
  #withMade(folderRef: string, listed: readonly WireFile[]): readonly WireFile[] {
    const ids = new Set(listed.map(({ id }) => id));
    const shown = listed.flatMap((file) => {
      const made = this.recent.find(file.id);
      if (!made) return file;
      return made.parentId === folderRef ? { ...file, name: made.name } : [];
    });
    return [...shown, ...this.recent.in(folderRef).filter(({ id }) => !ids.has(id))];
  }

  /** All that is directly in a folder, each once: pages move while others change the folder. */
  async children(folderRef: string, call: CallContext): Promise<Folder> {
    const files = new Map<string, WireFile>();
    let place: Omit<Folder, 'files'> = { chain: [], above: null };
    for (let offset = 0; ; ) {
      const page = await this.page(folderRef, { offset, limit: LIST_PAGE_MAX }, call);
      if (offset === 0) place = page;
      for (const file of page.files) files.set(file.id, file);
      offset += page.length;
      if (page.isLast) {
        return { files: this.#withMade(folderRef, [...files.values()]), chain: place.chain, above: place.above };
      }
    }
  }
}

interface PageOf {
  readonly offset: number;
  readonly limit: number;
  /** Absent: by name, where the folder can. */
  readonly order?: Order | undefined;
}

interface Order {
  readonly o: string;
  readonly asc: 0 | 1;
}

/** Folders too, and nothing of what is below them. */
const DIRECT = { show_dir: 1, cur: 1 };
const BY_NAME: Order = { o: 'file_name', asc: 1 };
const ORDER_UNSUPPORTED = '20130827';

export interface Folder {
  readonly files: readonly WireFile[];
  /** The folders on the way to this one, itself the last, by id. */
  readonly chain: readonly string[];
  /** The names of these folders without the root's; null where 115 does not tell. */
  readonly above: readonly string[] | null;
}

interface Post {
  readonly url: string;
  readonly form: QueryValues;
  readonly idempotent?: boolean;
  readonly timeoutMs?: number;
}

/** For answers of which only the success counts. */
export const ACCEPTED = z.object({});

async function orNull<Value>(asked: Promise<Value>): Promise<Value | null> {
  try {
    return await asked;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
