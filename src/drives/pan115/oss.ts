import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import { Secret } from '../../lib/secret.ts';
import type { AccessToken, TokenStore } from '../../transport/layers/refresh.ts';
import type { Transport } from '../../transport/outbound.ts';
import type { AnswerKind, OutboundRequest } from '../../transport/request.ts';
import type { CallContext } from '../driver.ts';
import type { Pan115Client } from './client.ts';
import { corrupted, PROVIDER, pan115Error, TITLE } from './errors.ts';
import { originsOf, USER_AGENT } from './hosts.ts';
import { parsed } from './linking.ts';
import { classifyOss, OSS_ERRORS } from './oss-errors.ts';
import { type OssRequest, objectPath, signed, subresourceText } from './oss-signature.ts';
import { OSS_RATES } from './rates.ts';
import { objectOf, TEXT_KEYS } from './wire.ts';

/** Credentials are replaced when they have less than this left, in milliseconds: they live an hour. */
const LEAD_MS = 10 * 60_000;
/** A part at 32 KiB/s, and a minute for the storage itself. */
const PART_TIMEOUT_MS = 60_000;
const PART_BYTES_PER_MS = 32;
/** Until 115 has answered the storage, which waits 5 s for it, after it put the parts together. */
const COMPLETE_TIMEOUT_MS = 180_000;
const PARTS_PAGE = 1000;

const STS = z.object({
  data: objectOf(
    z.looseObject({
      endpoint: z.string().min(1),
      AccessKeyId: z.string().min(1),
      SecurityToken: z.string().min(1),
    }),
  ),
});
const SECRET = z.string().min(1);
const HELD = z.object({
  endpoint: z.string(),
  accessKeyId: z.string(),
  accessKeySecret: z.string(),
  securityToken: z.string(),
});
type Held = z.infer<typeof HELD>;

/** Where the bytes of one upload go. */
export interface OssObject {
  readonly bucket: string;
  /** Not percent-encoded. */
  readonly object: string;
}

/** A part as the storage has it. */
export interface StoredPart {
  readonly number: number;
  /** MD5 in upper-case hex: the ETag without its quotes. */
  readonly md5: string;
  readonly sizeBytes: number;
}

/** 115's words for itself, which the storage sends back to it when a file is whole. */
export interface Callback {
  readonly callback: string;
  readonly callbackVar: string;
}

/**
 * The storage that 115 keeps bytes in, for one account. A library was no help: the usual one sends parts side by side,
 * rebuilds the callback, and renews no credentials within an upload.
 */
export class Oss {
  readonly #pan115: Pan115Client;
  readonly #credentials: TokenStore;

  constructor(pan115: Pan115Client) {
    this.#pan115 = pan115;
    this.#credentials = credentialsOf(pan115);
  }

  /** Begins an upload of which parts come one after the other: only so does the storage know the SHA-1 of the whole. */
  async initiate(place: OssObject, call: CallContext): Promise<string> {
    const { body } = await this.#send(place, call, {
      endpoint: 'oss.initiate',
      method: 'POST',
      subresources: { sequential: null, uploads: null },
      as: 'text',
      idempotent: true, // One that nobody goes on with is gone after some days.
    });
    const id = textOf(body, 'UploadId');
    if (id === '') throw pan115Error('unavailable', 'began an upload without naming it.', null, {});
    return id;
  }

  /** @throws DriveError `conflict` when it is not this part's turn: see {@link parts} */
  async putPart(
    place: OssObject,
    uploadId: string,
    number: number,
    bytes: Uint8Array,
    call: CallContext,
  ): Promise<StoredPart> {
    const md5 = createHash('md5').update(bytes).digest();
    const { headers } = await this.#send(place, call, {
      endpoint: 'oss.part',
      method: 'PUT',
      subresources: { partNumber: String(number), uploadId },
      body: { bytes, contentType: BYTES },
      headers: { 'content-md5': md5.toString('base64') },
      as: 'empty',
      idempotent: true,
      timeoutMs: PART_TIMEOUT_MS + Math.ceil(bytes.byteLength / PART_BYTES_PER_MS),
    });
    const sent = md5.toString('hex').toUpperCase();
    if (etagOf(headers.get('etag') ?? '') !== sent) {
      throw corrupted(`received other bytes than were sent, in part ${number}.`);
    }
    return { number, md5: sent, sizeBytes: bytes.byteLength };
  }

  /** All parts that the storage has, in order. */
  async parts(place: OssObject, uploadId: string, call: CallContext): Promise<StoredPart[]> {
    const parts: StoredPart[] = [];
    for (let marker = '0'; ; ) {
      const { body } = await this.#send(place, call, {
        endpoint: 'oss.parts',
        method: 'GET',
        subresources: { uploadId },
        query: { 'max-parts': PARTS_PAGE, 'part-number-marker': marker },
        as: 'text',
        idempotent: true,
      });
      for (const [, part = ''] of body.matchAll(/<Part>([\s\S]*?)<\/Part>/g)) {
        parts.push({
          number: Number(textOf(part, 'PartNumber')),
          md5: etagOf(textOf(part, 'ETag')),
          sizeBytes: Number(textOf(part, 'Size')),
        });
      }
      const next = textOf(body, 'NextPartNumberMarker');
      if (textOf(body, 'IsTruncated') !== 'true' || next === '' || next === marker) return parts;
      marker = next;
    }
  }

  /** Makes the file of the parts; the answer is 115's. Not to be sent twice: the upload is gone afterwards. */
  complete(
    place: OssObject,
    uploadId: string,
    parts: readonly StoredPart[],
    callback: Callback,
    call: CallContext,
  ): Promise<unknown> {
    const list = parts.map(({ number, md5 }) => `<Part><PartNumber>${number}</PartNumber><ETag>"${md5}"</ETag></Part>`);
    const xml = `<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
    return this.#make('POST', place, { uploadId }, callback, { bytes: Buffer.from(xml), contentType: XML }, call);
  }

  /** A whole file in one request: one of no bytes, which has no part. */
  put(place: OssObject, bytes: Uint8Array, callback: Callback, call: CallContext): Promise<unknown> {
    return this.#make('PUT', place, {}, callback, { bytes, contentType: BYTES }, call);
  }

  async abort(place: OssObject, uploadId: string, call: CallContext): Promise<void> {
    const request = { endpoint: 'oss.abort', method: 'DELETE', as: 'empty', idempotent: true } as const;
    await this.#send(place, call, { ...request, subresources: { uploadId } });
  }

  async #make(
    method: 'POST' | 'PUT',
    place: OssObject,
    subresources: OssRequest['subresources'],
    { callback, callbackVar }: Callback,
    body: { readonly bytes: Uint8Array; readonly contentType: string },
    call: CallContext,
  ): Promise<unknown> {
    const answer = await this.#send(place, call, {
      endpoint: 'oss.complete',
      method,
      subresources,
      body,
      headers: {
        // Byte for byte what 115 gave: its variables are filled in by the storage.
        'x-oss-callback': Buffer.from(callback).toString('base64'),
        'x-oss-callback-var': Buffer.from(callbackVar).toString('base64'),
      },
      as: 'json',
      idempotent: false,
      timeoutMs: COMPLETE_TIMEOUT_MS,
    });
    return answer.body;
  }

  async #send<Kind extends 'text' | 'json' | 'empty'>(
    place: OssObject,
    { signal, priority }: CallContext,
    { subresources, ...request }: OssCall<Kind>,
  ) {
    try {
      return await this.#transportFor(place, subresources).send<Kind>({
        ...request,
        url: objectPath(place.object) + subresourceText(subresources, encodeURIComponent),
        auth: true,
        signal,
        ...(priority ? { priority } : {}),
      });
    } catch (error) {
      const isOss = error instanceof DriveError && OSS_ERRORS[error.providerCode ?? ''] !== undefined;
      if (!isOss || error.category !== 'unauthenticated') throw error;
      // New credentials were refused too. That is the storage's affair: linking the account again would not help.
      throw new DriveError('unavailable', error.message, {
        ...error,
        retryable: false,
        persistent: true,
        cause: error,
      });
    }
  }

  /** The address and the signature are made for each attempt: the credentials name the host, and the time is signed. */
  #transportFor({ bucket, object }: OssObject, subresources: OssRequest['subresources']): Transport {
    const { services, settings, accountId, now } = this.#pan115;
    const authorize = (request: OutboundRequest, token: string): OutboundRequest => {
      const { endpoint, ...credentials } = HELD.parse(JSON.parse(token));
      const host = `${bucket}.${endpoint.replace(/^https?:\/\//i, '').replace(/\/+$/, '')}`;
      const contentType = request.body && 'bytes' in request.body ? request.body.contentType : undefined;
      const headers = { ...request.headers, ...(contentType === undefined ? {} : { 'content-type': contentType }) };
      const unsigned = { method: request.method, bucket, object, subresources, headers };
      return {
        ...request,
        url: (settings.ossUrl?.replace(/\/+$/, '') ?? `https://${host}`) + request.url,
        // In the place of the real host, its name says which bucket is meant.
        headers: { ...signed(unsigned, credentials, now()), ...(settings.ossUrl === null ? {} : { host }) },
      };
    };
    return services.outbound.transport({
      provider: PROVIDER,
      title: TITLE,
      // Its requests do not count among those of 115's own interface.
      accountId: `${accountId}:oss`,
      classify: classifyOss,
      headers: { 'user-agent': USER_AGENT },
      credentials: { tokens: this.#credentials, leadMs: LEAD_MS, authorize },
      rates: OSS_RATES,
      textKeys: TEXT_KEYS,
      trustedOrigins: originsOf(settings),
    });
  }
}

interface OssCall<Kind extends AnswerKind>
  extends Pick<OutboundRequest<Kind>, 'endpoint' | 'as' | 'idempotent' | 'timeoutMs' | 'query' | 'body' | 'headers'> {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly subresources: OssRequest['subresources'];
}

const BYTES = 'application/octet-stream';
const XML = 'application/xml';

/** Credentials live within one driver, and are asked for anew when they run out: nobody keeps them. */
function credentialsOf(pan115: Pan115Client): TokenStore {
  let held: AccessToken | null = null;
  const ask = async (): Promise<AccessToken> => {
    const { data } = await pan115.get(STS, 'upload.token', '/open/upload/get_token', {}, NEVER_ENDED);
    // The document misspells the one, and some saw the other in lower case.
    const accessKeySecret = parsed(SECRET, data.AccessKeySecret ?? data.AccessKeySecrett);
    const expiry = Date.parse(String(data.Expiration ?? data.expiration ?? ''));
    const credentials: Held = {
      endpoint: data.endpoint,
      accessKeyId: data.AccessKeyId,
      accessKeySecret,
      securityToken: data.SecurityToken,
    };
    held = {
      value: new Secret(JSON.stringify(credentials)),
      expiresAt: Number.isNaN(expiry) ? null : new Date(expiry),
    };
    return held;
  };
  return {
    current: async () => held ?? ask(),
    refresh: async (stale) => (held && held.value.reveal() !== stale.value.reveal() ? held : ask()),
  };
}

/** One question serves all callers, whoever of them goes away. */
const NEVER_ENDED: CallContext = { signal: new AbortController().signal, priority: 'bulk' };

const etagOf = (text: string): string => text.replace(/"|&quot;|&#34;/g, '').toUpperCase();

/** The text of the first element of that name; '' where there is none. */
const textOf = (xml: string, name: string): string =>
  new RegExp(`<${name}>\\s*([^<]*?)\\s*</${name}>`).exec(xml)?.[1] ?? '';
