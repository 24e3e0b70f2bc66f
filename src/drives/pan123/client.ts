import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import { jsonInteger } from '../../lib/json.ts';
import { sleep, type Timer } from '../../lib/timer.ts';
import type { Transport } from '../../transport/outbound.ts';
import type { OutboundRequest, QueryValues } from '../../transport/request.ts';
import type { Pan123Services, Pan123Settings } from '../cloud.ts';
import type { CallContext, DriveAccount } from '../driver.ts';
import { classify, PROVIDER, pan123Error, TITLE } from './errors.ts';
import { JSON_HEADERS, originsOf } from './hosts.ts';
import { parsed } from './linking.ts';
import { APPLICATION_RATES, FREE_RATES, ratesOf } from './rates.ts';
import {
  FILE_LIST,
  FILE_PAGE,
  isFolder,
  isLastPage,
  isLive,
  NUMBER,
  ROOT_REF,
  TEXT_KEYS,
  type WireFile,
} from './wire.ts';

/** Longest page of every listing; also the most ids in one call. */
export const LIST_PAGE_MAX = 100;
export const IDS_MAX = 100;

const REF = /^[1-9]\d{0,18}$/;

/** How the parts of the driver speak with 123pan about one account. */
export class Pan123Client {
  readonly settings: Pan123Settings;
  readonly timer: Timer;
  readonly now: () => Date;
  /** Came by the operator's application, whose tokens may less. */
  readonly isOfApplication: boolean;
  readonly #api: Transport;
  readonly #bytes: Transport;

  constructor({ id, settings }: DriveAccount, { outbound, tokensOf, pan123, timer, clock }: Pan123Services) {
    this.settings = pan123;
    this.timer = timer;
    this.now = () => clock.now();
    this.isOfApplication = settings.clientId === undefined;
    const shared = {
      provider: PROVIDER,
      title: TITLE,
      accountId: id,
      classify,
      rates: this.isOfApplication ? APPLICATION_RATES : FREE_RATES,
      textKeys: TEXT_KEYS,
      trustedOrigins: originsOf(pan123),
    };
    this.#api = outbound.transport({
      ...shared,
      baseUrl: pan123.apiUrl,
      headers: JSON_HEADERS,
      credentials: {
        tokens: tokensOf({ id, provider: PROVIDER }),
        authorize: (request, token) => ({
          ...request,
          headers: { ...request.headers, authorization: `Bearer ${token}` },
        }),
      },
      ...(this.isOfApplication ? {} : { findRates }),
    });
    // Where the bytes are: neither the token nor anything else of ours goes there.
    this.#bytes = outbound.transport(shared);
  }

  /** To 123pan itself, or to an upload server that it named. */
  send<Kind extends OutboundRequest['as']>(
    request: Omit<OutboundRequest<Kind>, 'auth' | 'signal' | 'priority' | 'endpoint'>,
    { signal, priority }: CallContext,
    endpoint = endpointOf(request.url),
  ) {
    return this.#api.send<Kind>({ ...request, endpoint, auth: true, signal, ...(priority ? { priority } : {}) });
  }

  /** To where the bytes are. */
  sendBytes<Kind extends OutboundRequest['as']>(
    request: Omit<OutboundRequest<Kind>, 'auth' | 'signal' | 'priority'>,
    { signal, priority }: CallContext,
  ) {
    return this.#bytes.send<Kind>({ ...request, auth: false, signal, ...(priority ? { priority } : {}) });
  }

  /** Asks, and changes nothing: equal questions at one time are one. */
  async get<Schema extends z.ZodType>(
    schema: Schema,
    url: string,
    query: QueryValues,
    call: CallContext,
  ): Promise<z.infer<Schema>> {
    const request = { method: 'GET', url, query, as: 'json', idempotent: true, shareable: true } as const;
    return dataOf(schema, (await this.send(request, call)).body);
  }

  async post<Schema extends z.ZodType>(
    schema: Schema,
    url: string,
    json: Readonly<Record<string, unknown>> | readonly unknown[],
    call: CallContext,
    { idempotent = false, method = 'POST', attempts }: PostOptions = {},
  ): Promise<z.infer<Schema>> {
    const body = { json };
    const request = { method, url, body, as: 'json', idempotent, ...(attempts ? { attempts } : {}) } as const;
    return dataOf(schema, (await this.send(request, call)).body);
  }

  /** What it knows of entries, by ref, those in the recycle bin too; what is not there is absent. */
  async infos(refs: readonly string[], call: CallContext): Promise<Map<string, WireFile>> {
    const ids = [...new Set(refs)].filter((ref) => REF.test(ref));
    const found = new Map<string, WireFile>();
    for (let at = 0; at < ids.length; at += IDS_MAX) {
      for (const file of await this.#infos(ids.slice(at, at + IDS_MAX), call)) found.set(file.fileId, file);
    }
    return found;
  }

  /** Whether one id that is not there spoils the answer about the others is not documented. */
  async #infos(ids: readonly string[], call: CallContext): Promise<readonly WireFile[]> {
    try {
      const json = { fileIds: ids.map(jsonInteger) };
      return (await this.post(FILE_LIST, '/api/v1/file/infos', json, call, { idempotent: true })).fileList;
    } catch (error) {
      if (!isMissing(error)) throw error;
      if (ids.length === 1) return [];
      const half = ids.length >> 1;
      return [...(await this.#infos(ids.slice(0, half), call)), ...(await this.#infos(ids.slice(half), call))];
    }
  }

  /** A live entry. @throws DriveError `not_found` */
  async file(ref: string, call: CallContext): Promise<WireFile> {
    const file = (await this.infos([ref], call)).get(ref);
    if (!file || !isLive(file)) throw notFound();
    return file;
  }

  /** Refuses what is no live folder. @throws DriveError `not_found` or `wrong_kind` */
  async checkFolder(ref: string, call: CallContext): Promise<void> {
    if (ref !== ROOT_REF) checkIsFolder(await this.file(ref, call));
  }

  listPage(
    query: { readonly parentFileId: string; readonly limit: number } & QueryValues,
    call: CallContext,
  ): Promise<z.infer<typeof FILE_PAGE>> {
    return this.get(FILE_PAGE, '/api/v2/file/list', query, call);
  }

  async *children(folderRef: string, call: CallContext): AsyncGenerator<WireFile> {
    let lastFileId: string | null = null;
    for (;;) {
      const query: Parameters<Pan123Client['listPage']>[0] = {
        parentFileId: folderRef,
        limit: LIST_PAGE_MAX,
        lastFileId,
      };
      const page = await this.listPage(query, call);
      yield* page.fileList.filter(isLive);
      if (isLastPage(page.lastFileId, lastFileId, page.fileList)) return;
      lastFileId = page.lastFileId;
    }
  }

  /** There is no call for one name: its folder is looked through. */
  async findChild(folderRef: string, name: string, call: CallContext): Promise<WireFile | null> {
    for await (const file of this.children(folderRef, call)) if (file.filename === name) return file;
    return null;
  }

  /** A wait that 123pan's documents ask for. */
  pause(delayMs: number, { signal }: CallContext): Promise<void> {
    return sleep(this.timer, delayMs, signal);
  }
}

interface PostOptions {
  readonly idempotent?: boolean;
  readonly method?: 'POST' | 'PUT';
  readonly attempts?: number;
}

const MEMBERSHIP = z.object({ vip: z.boolean().nullish().transform(Boolean) });

/** The account's membership decides. */
async function findRates(transport: Transport) {
  const { body } = await transport.send({
    method: 'GET',
    url: '/api/v1/user/info',
    endpoint: 'api/v1/user/info',
    as: 'json',
    idempotent: true,
    auth: true,
    attempts: 1,
    timeoutMs: 10_000,
    signal: new AbortController().signal,
  });
  return ratesOf(dataOf(MEMBERSHIP, body));
}

/** The payload of an answer that is a success. */
function dataOf<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  return parsed(
    z
      .object({ code: NUMBER.pipe(z.literal(0)), data: z.unknown() })
      .transform(({ data }) => data)
      .pipe(schema),
    body,
  );
}

/** Rates and logs name a call by its path. */
const endpointOf = (url: string): string => url.replace(/^\/+/, '');

/** For answers of which nothing is wanted: `data` may be null, or a text for people. */
export const ACCEPTED = z.unknown();

export function checkIsFolder(file: WireFile): void {
  if (!isFolder(file)) throw pan123Error('wrong_kind', 'has a file there, not a folder.', null, {});
}

/** An id as a JSON number. @throws DriveError `not_found` when it cannot be one */
export function idOf(ref: string): unknown {
  if (ref !== ROOT_REF && !REF.test(ref)) throw notFound();
  return jsonInteger(ref);
}

export const isMissing = (error: unknown): boolean => error instanceof DriveError && error.category === 'not_found';

export const notFound = () => pan123Error('not_found', 'has no such entry any more.', null, {});

export const invalid = (message: string, hint: string | null = null) =>
  pan123Error('invalid_argument', message, null, { hint });
