import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import { Flights } from '../../lib/flights.ts';
import type { Timer } from '../../lib/timer.ts';
import { cancelledError } from '../../transport/faults.ts';
import type { Transport } from '../../transport/outbound.ts';
import type { OutboundRequest, QueryValues } from '../../transport/request.ts';
import type { BaiduSettings, CloudServices } from '../cloud.ts';
import type { CallContext, DriveAccount, DriveEntry } from '../driver.ts';
import { BUDGET_USED, baiduError, classify, PROVIDER, TITLE } from './errors.ts';
import { originsOf, USER_AGENT } from './hosts.ts';
import { parsed } from './linking.ts';
import { RATES } from './rates.ts';
import {
  FILE_LIST,
  isFolder,
  isInside,
  META_LIST,
  nameOf,
  ROOT_REF,
  type Root,
  rootOf,
  TEXT_KEYS,
  toEntry,
  type WireFile,
  type WireMeta,
} from './wire.ts';

/** Longest page of every listing; more is accepted at times, and answered with less. */
export const LIST_PAGE_MAX = 1000;
/** Ids in one question for facts. */
const METAS_MAX = 100;

/** A task takes seconds to minutes, and each that is asked for meanwhile waits for it; the act itself has less time or more. */
const TASK_TURN_WAIT_MS = 300_000;

const REF = /^[1-9]\d{0,19}$/;
export const isRef = (ref: string): boolean => REF.test(ref);

/** How the parts of the driver speak with Baidu about one account. */
export class BaiduClient {
  readonly settings: BaiduSettings;
  readonly timer: Timer;
  readonly root: Root;
  readonly now: () => Date;
  readonly #transport: Transport;
  /** Questions about single entries that more may join still, by what is asked; and those that are under way. */
  readonly #gathering = new Map<string, { readonly id: string; readonly refs: Set<string> }>();
  readonly #questions = new Flights<ReadonlyMap<string, WireMeta>>();

  constructor({ id }: DriveAccount, { outbound, tokensOf, baidu, timer, clock }: CloudServices) {
    this.settings = baidu;
    this.timer = timer;
    this.root = rootOf(baidu.appRoot);
    this.now = () => clock.now();
    this.#transport = outbound.transport({
      provider: PROVIDER,
      title: TITLE,
      accountId: id,
      classify,
      baseUrl: baidu.panUrl,
      headers: { 'user-agent': USER_AGENT },
      credentials: {
        tokens: tokensOf({ id, provider: PROVIDER }),
        authorize: (request, token) => ({ ...request, query: { ...request.query, access_token: token } }),
      },
      rates: RATES,
      // The calls of the whole application are used up, not those of one kind.
      pauses: ({ providerCode }) => (providerCode === BUDGET_USED ? 'account' : 'endpoint'),
      textKeys: TEXT_KEYS,
      trustedOrigins: originsOf(baidu),
    });
  }

  send<Kind extends OutboundRequest['as']>(
    request: Omit<OutboundRequest<Kind>, 'auth' | 'signal' | 'priority'>,
    { signal, priority }: CallContext,
  ) {
    return this.#transport.send<Kind>({ ...request, auth: true, signal, ...(priority ? { priority } : {}) });
  }

  /** Without the token, and to any public host: for addresses that Baidu's answers hold. */
  sendBare<Kind extends OutboundRequest['as']>(
    request: Omit<OutboundRequest<Kind>, 'auth' | 'signal' | 'priority'>,
    { signal, priority }: CallContext,
  ) {
    return this.#transport.send<Kind>({ ...request, auth: false, signal, ...(priority ? { priority } : {}) });
  }

  /** A turn for what Baidu does after its answer: it works on one task of an account at a time. */
  taskTurn({ signal, priority }: CallContext): Promise<() => void> {
    const waitMaxMs = TASK_TURN_WAIT_MS;
    return this.#transport.turn({ endpoint: 'task', signal, waitMaxMs, ...(priority ? { priority } : {}) });
  }

  /** Asks, and changes nothing: equal questions at one time are one. */
  async get<Schema extends z.ZodType>(
    schema: Schema,
    endpoint: string,
    url: string,
    query: QueryValues,
    call: CallContext,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<z.infer<Schema>> {
    const asked = { method: 'GET', url, query, headers, endpoint } as const;
    const request = { ...asked, as: 'json', idempotent: true, shareable: true } as const;
    return parsed(schema, (await this.send(request, call)).body);
  }

  async post<Schema extends z.ZodType>(
    schema: Schema,
    endpoint: string,
    { url = XPAN_FILE, query, form, headers = {}, idempotent = false }: Post,
    call: CallContext,
  ): Promise<z.infer<Schema>> {
    const asked = { method: 'POST', url, query, headers, body: { form }, endpoint } as const;
    const request = { ...asked, as: 'json', idempotent } as const;
    return parsed(schema, (await this.send(request, call)).body);
  }

  /** What Baidu knows of entries of the drive, by ref; what is not there is absent. */
  async metas(refs: readonly string[], call: CallContext, more: QueryValues = {}): Promise<Map<string, WireMeta>> {
    const ids = [...new Set(refs)].filter(isRef);
    const found = new Map<string, WireMeta>();
    for (let at = 0; at < ids.length; at += METAS_MAX) {
      // Written as text: ids are whole numbers here, some of them larger than a float holds.
      const fsids = `[${ids.slice(at, at + METAS_MAX).join(',')}]`;
      const query = { method: 'filemetas', fsids, ...more };
      const { list } = await this.get(META_LIST, 'filemetas', XPAN_MULTIMEDIA, query, call);
      for (const meta of list) if (this.owns(meta)) found.set(meta.fs_id, meta);
    }
    return found;
  }

  /** Of one entry; those that are asked for together are one question. @throws DriveError `not_found` */
  async meta(ref: string, call: CallContext, more: QueryValues = {}): Promise<WireMeta> {
    const { signal, priority = 'interactive' } = call;
    const kind = JSON.stringify([priority, more]);
    const known = this.#gathering.get(kind);
    const batch = known && known.refs.size < METAS_MAX ? known : { id: randomUUID(), refs: new Set<string>() };
    batch.refs.add(ref);
    this.#gathering.set(kind, batch);
    const ask = async (shared: AbortSignal): Promise<ReadonlyMap<string, WireMeta>> => {
      await setImmediate(); // Whoever asks at the same time has asked by then.
      if (this.#gathering.get(kind) === batch) this.#gathering.delete(kind);
      return this.metas([...batch.refs], { signal: shared, priority }, more);
    };
    const leaving = (reason: unknown) => cancelledError({ provider: PROVIDER, title: TITLE }, reason);
    const meta = (await this.#questions.join(batch.id, signal, ask, leaving)).get(ref);
    if (!meta) throw notFound();
    return meta;
  }

  /** The path of a folder at Baidu. @throws DriveError `not_found` or `wrong_kind` */
  async folderPath(ref: string, call: CallContext): Promise<string> {
    return ref === ROOT_REF ? this.rootPath : folderPathOf(await this.meta(ref, call));
  }

  /** An application's own folder may not be there before something is in it: until then it is empty, not missing. */
  async orEmpty<Result>(folderRef: string, empty: Result, act: () => Promise<Result>): Promise<Result> {
    try {
      return await act();
    } catch (error) {
      if (folderRef === ROOT_REF && this.root !== '' && isMissing(error)) return empty;
      throw error;
    }
  }

  get rootPath(): string {
    return this.root === '' ? '/' : this.root;
  }

  /** In the drive, and not its root itself. */
  owns({ path }: WireFile): boolean {
    return isInside(path, this.root) && path !== this.rootPath;
  }

  toEntry(file: WireFile, parentRef: string | null = null): DriveEntry {
    return toEntry(file, this.root, parentRef);
  }

  async listPage(
    dir: string,
    page: { readonly start: number; readonly limit: number; readonly order?: string; readonly desc?: 0 | 1 },
    call: CallContext,
  ): Promise<readonly WireFile[]> {
    const { list } = await this.get(FILE_LIST, 'list', XPAN_FILE, { method: 'list', dir, ...page }, call);
    return list;
  }

  async *children(dir: string, call: CallContext): AsyncGenerator<WireFile> {
    for (let start = 0; ; start += LIST_PAGE_MAX) {
      const files = await this.listPage(dir, { start, limit: LIST_PAGE_MAX }, call);
      yield* files;
      if (files.length < LIST_PAGE_MAX) return;
    }
  }

  /** There is no call for one path: its folder is looked through. A folder that is not there has no child. */
  async findChild(dir: string, name: string, call: CallContext): Promise<WireFile | null> {
    for await (const file of this.children(dir, call)) if (nameOf(file.path) === name) return file;
    return null;
  }
}

interface Post {
  readonly url?: string;
  readonly query: QueryValues;
  readonly form: QueryValues;
  readonly headers?: Readonly<Record<string, string>>;
  readonly idempotent?: boolean;
}

export const XPAN_FILE = '/rest/2.0/xpan/file';
export const XPAN_MULTIMEDIA = '/rest/2.0/xpan/multimedia';

export const ACCEPTED = z.object({});

export function folderPathOf(file: WireFile): string {
  if (!isFolder(file)) throw baiduError('wrong_kind', 'has a file there, not a folder.', null, {});
  return file.path;
}

export const isMissing = (error: unknown): boolean => error instanceof DriveError && error.category === 'not_found';

export const notFound = () => baiduError('not_found', 'has no such entry any more.', null, {});

export const invalid = (message: string, hint: string | null = null) =>
  baiduError('invalid_argument', message, null, { hint });
