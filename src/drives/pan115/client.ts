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
import { FILE_LIST, type FileList, INFO, namesBelowRoot, REF, ROOT_REF, TEXT_KEYS, type WireFile } from './wire.ts';

/** Longest page of a folder's list. A larger one is answered like too many requests. */
export const LIST_PAGE_MAX = 1150;
/** What was just made may not be found for some seconds: the wait before it is looked for again, in milliseconds. */
const FRESH_MS = 1_500;
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
  readonly #transport: Transport;

  constructor({ id }: DriveAccount, services: Pan115Services) {
    const { outbound, tokensOf, pan115, timer, clock } = services;
    this.services = services;
    this.settings = pan115;
    this.timer = timer;
    this.accountId = id;
    this.now = () => clock.now();
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
    const { body } = await this.#transport.send<'json'>({
      ...request,
      as: 'json',
      auth: true,
      signal,
      ...(priority ? { priority } : {}),
    });
    return body;
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
    return parsed(schema, await this.#send(timeoutMs === undefined ? request : { ...request, timeoutMs }, call));
  }

  async post<Schema extends z.ZodType>(
    schema: Schema,
    endpoint: string,
    { url, form, idempotent = false, timeoutMs }: Post,
    call: CallContext,
  ): Promise<z.infer<Schema>> {
    const request = { method: 'POST', url, body: { form }, endpoint, idempotent } as const;
    return parsed(schema, await this.#send(timeoutMs === undefined ? request : { ...request, timeoutMs }, call));
  }

  /** An entry by its id. @throws DriveError `not_found` */
  async info(ref: string, call: CallContext): Promise<WireFile> {
    if (!REF.test(ref)) throw notFound();
    const found = await this.patiently(() => this.#infoNow(ref, call), call);
    if (!found) throw notFound();
    return found;
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

  /** Asks once more after a while: what was just made, renamed or uploaded is not there at once. */
  async patiently<Found>(look: () => Promise<Found | null>, call: CallContext): Promise<Found | null> {
    const found = await look();
    if (found !== null) return found;
    await sleep(this.timer, FRESH_MS, call.signal);
    return look();
  }

  /**
   * A page of what is directly in a folder. Asked for a folder that is not there, 115 lists another one.
   * @throws DriveError `not_found`, or `wrong_kind` for a file
   */
  async page(folderRef: string, { offset, limit, order }: PageOf, call: CallContext): Promise<FolderPage> {
    if (folderRef !== ROOT_REF && !REF.test(folderRef)) throw notFound();
    const list = await this.#direct({ cid: folderRef, limit, offset, show_dir: 1, cur: 1 }, order, call);
    if (list.cid !== undefined && list.cid !== folderRef) {
      await this.info(folderRef, call);
      throw pan115Error('wrong_kind', 'has a file there, not a folder.', null, {});
    }
    const chain = list.path.at(-1)?.cid === folderRef ? list.path : [];
    const above = chain.length === 0 ? null : namesBelowRoot(chain.map(({ cid, name }) => ({ id: cid, name })));
    return {
      files: list.data.flatMap(({ isGone, file }) => (isGone ? [] : [{ ...file, parentId: folderRef, above }])),
      length: list.data.length,
      total: list.count ?? null,
      isLast: list.data.length === 0 || (list.count !== undefined && offset + list.data.length >= list.count),
      chain: chain.map(({ cid }) => cid),
      above,
    };
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
    const first = await this.page(folderRef, { offset: 0, limit: LIST_PAGE_MAX }, call);
    if (first.isLast || first.files.some((file) => file.name === name)) return first;
    const path = first.above && [...first.above, name];
    if (!path || path.some((segment) => /[/>]/.test(segment))) return this.children(folderRef, call);
    const found = await this.infoAt(`/${path.join('/')}`, call);
    const isThere = found?.name === name && found.parentId === folderRef;
    return { ...first, files: isThere ? [...first.files, found] : first.files };
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
        return { files: [...files.values()], chain: place.chain, above: place.above };
      }
    }
  }
}

interface PageOf {
  readonly offset: number;
  readonly limit: number;
  /** Absent: by name, where the folder can. */
  readonly order?: Order;
}

interface Order {
  readonly o: string;
  readonly asc: 0 | 1;
}

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
