import { createHash, createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ReceivedRequest, startLoopback } from './loopback.ts';

export const S3_KEYS = { accessKeyId: 'AKIDTESTTESTTEST', secretAccessKey: 'secret-canary/of+the+store' } as const;
const BUCKET = 'panql-test';
const PART_BYTES_MIN = 5 * 1024 * 1024;
const CLOCK_SKEW_MS = 15 * 60_000;
const PAGE_MAX = 1000;

interface StoredObject {
  readonly bytes: Buffer;
  readonly etag: string;
  modifiedAt: Date;
}

interface Upload {
  readonly key: string;
  initiatedAt: Date;
  readonly parts: Map<number, StoredObject>;
}

/** One request, as a test looks at it: `PutObject`, `UploadPart` and so on, by the names of the API. */
export interface S3Call {
  readonly operation: string;
  /** Empty for the bucket. */
  readonly key: string;
}

/** What happens to a request instead of its answer, or to its answer. */
export type S3Fault =
  | { readonly status: number; readonly code: string }
  /** The connection ends before the request is looked at, or when all is done and the answer is due. */
  | 'cut'
  | 'lost'
  /** A bit of the body changes on its way. */
  | 'damaged'
  /** So many bytes of the body of an answer, then the connection ends. */
  | { readonly bytes: number };

export interface S3Server extends AsyncDisposable {
  readonly url: string;
  /** For the setting BLOB_STORE_URL. */
  readonly storeUrl: string;
  /** Of a server that keeps its files here. */
  readonly settings: Readonly<Record<string, string>>;
  /** By key; a test may change them. */
  readonly objects: Map<string, StoredObject>;
  readonly uploads: Map<string, Upload>;
  readonly calls: S3Call[];
  /** Asked before each request is carried out; what it gives happens. */
  intercept: ((call: S3Call) => S3Fault | null | undefined | Promise<S3Fault | null | undefined>) | null;
}

class S3Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

/**
 * An S3 store on loopback, made after Amazon's API reference (https://docs.aws.amazon.com/AmazonS3/latest/API/) and strict
 * where it is: signatures (version 4, in the header), the hash and the MD5 of each body, sizes, order and ETags of parts.
 * It has one bucket, and path-style addresses.
 */
export async function startS3Server(): Promise<S3Server> {
  const state = {
    objects: new Map<string, StoredObject>(),
    uploads: new Map<string, Upload>(),
    calls: [] as S3Call[],
    intercept: null as S3Server['intercept'],
  };
  const loopback = await startLoopback(async (request, response, raw) => {
    await answer(state, request, response, raw);
  });
  const storeUrl = `s3://${BUCKET}?endpoint=${encodeURIComponent(loopback.url)}`;
  return Object.assign(state, {
    url: loopback.url,
    storeUrl,
    settings: {
      BLOB_STORE_URL: storeUrl,
      BLOB_STORE_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
      BLOB_STORE_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
    },
    [Symbol.asyncDispose]: () => loopback[Symbol.asyncDispose](),
  });
}

type State = Pick<S3Server, 'objects' | 'uploads' | 'calls' | 'intercept'>;

async function answer(
  state: State,
  request: ReceivedRequest,
  response: ServerResponse,
  raw: IncomingMessage,
): Promise<void> {
  const url = new URL(request.url, 'http://store');
  const [, bucket = '', ...segments] = decodeURIComponent(url.pathname).split('/');
  const call = {
    operation: operationOf(request.method, segments.join('/'), url.searchParams),
    key: segments.join('/'),
  };
  state.calls.push(call);
  const fault = await state.intercept?.(call);
  if (fault === 'cut') {
    raw.socket.destroy();
    return;
  }
  try {
    if (fault && typeof fault === 'object' && 'status' in fault) throw new S3Refusal(fault.status, fault.code);
    checkSignature(request, url);
    const body = Buffer.from(request.body);
    if (fault === 'damaged' && body.length > 0) body[0] = (body[0] ?? 0) ^ 1;
    checkBody(request, body);
    if (bucket !== BUCKET) throw new S3Refusal(404, 'NoSuchBucket');
    const reply = OPERATIONS[call.operation]?.(state, { key: call.key, query: url.searchParams, request, body });
    if (!reply) throw new S3Refusal(501, 'NotImplemented');
    if (fault === 'lost') {
      raw.socket.destroy();
      return;
    }
    response.writeHead(reply.status ?? 200, { 'x-amz-request-id': randomUUID(), ...reply.headers });
    if (fault && typeof fault === 'object' && 'bytes' in fault) {
      response.write(reply.body?.subarray(0, fault.bytes) ?? '', () => raw.socket.destroy());
      return;
    }
    response.end(request.method === 'HEAD' ? undefined : reply.body);
  } catch (error) {
    if (!(error instanceof S3Refusal)) throw error;
    response.writeHead(error.status, { 'content-type': 'application/xml' });
    response.end(request.method === 'HEAD' ? undefined : xml('Error', { Code: error.code, Message: 'No.' }));
  }
}

function operationOf(method: string, key: string, query: URLSearchParams): string {
  if (key === '') {
    if (method === 'HEAD') return 'HeadBucket';
    if (method === 'GET' && query.has('uploads')) return 'ListMultipartUploads';
    return method === 'GET' && query.get('list-type') === '2' ? 'ListObjectsV2' : 'unknown';
  }
  if (query.has('uploadId')) {
    return { PUT: 'UploadPart', POST: 'CompleteMultipartUpload', DELETE: 'AbortMultipartUpload' }[method] ?? 'unknown';
  }
  if (method === 'POST') return query.has('uploads') ? 'CreateMultipartUpload' : 'unknown';
  return { GET: 'GetObject', HEAD: 'HeadObject', PUT: 'PutObject', DELETE: 'DeleteObject' }[method] ?? 'unknown';
}

interface Asked {
  readonly key: string;
  readonly query: URLSearchParams;
  readonly request: ReceivedRequest;
  readonly body: Buffer;
}

interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: Buffer;
}

const md5Of = (bytes: Buffer): Buffer => createHash('md5').update(bytes).digest();
const store = (bytes: Buffer): StoredObject => ({
  bytes,
  etag: `"${md5Of(bytes).toString('hex')}"`,
  modifiedAt: new Date(),
});

const OPERATIONS: Readonly<Record<string, (state: State, asked: Asked) => Reply>> = {
  PutObject(state, { key, body }) {
    const object = store(body);
    state.objects.set(key, object);
    return { headers: { etag: object.etag } };
  },
  HeadObject(state, { key }) {
    const { bytes, etag, modifiedAt } = objectAt(state, key);
    return { headers: { 'content-length': bytes.length, etag, 'last-modified': modifiedAt.toUTCString() } };
  },
  GetObject(state, { key, request }): Reply {
    const { bytes, etag } = objectAt(state, key);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (first === undefined) return { headers: { etag, 'content-length': bytes.length }, body: bytes };
    const start = Number(first);
    const end = Math.min(Number(last), bytes.length - 1);
    if (start >= bytes.length || start > Number(last)) throw new S3Refusal(416, 'InvalidRange');
    const body = bytes.subarray(start, end + 1);
    const range = `bytes ${start}-${end}/${bytes.length}`;
    return { status: 206, headers: { etag, 'content-range': range, 'content-length': body.length }, body };
  },
  DeleteObject(state, { key }) {
    state.objects.delete(key);
    return { status: 204 };
  },
  HeadBucket: () => ({}),
  ListObjectsV2(state, { query }) {
    const prefix = query.get('prefix') ?? '';
    const after = Buffer.from(query.get('continuation-token') ?? '', 'base64url').toString();
    const max = Math.min(PAGE_MAX, Number(query.get('max-keys') ?? PAGE_MAX));
    const keys = [...state.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).toSorted();
    const page = keys.slice(0, max);
    const contents = page.map((key) => {
      const { bytes, etag, modifiedAt } = objectAt(state, key);
      return element('Contents', { Key: key, LastModified: modifiedAt.toISOString(), ETag: etag, Size: bytes.length });
    });
    const isMore = keys.length > page.length;
    return {
      body: xml('ListBucketResult', {
        Name: BUCKET,
        KeyCount: page.length,
        IsTruncated: isMore,
        ...(isMore ? { NextContinuationToken: Buffer.from(page.at(-1) ?? '').toString('base64url') } : {}),
        '': contents.join(''),
      }),
    };
  },
  CreateMultipartUpload(state, { key }) {
    const id = randomUUID();
    state.uploads.set(id, { key, initiatedAt: new Date(), parts: new Map() });
    return { body: xml('InitiateMultipartUploadResult', { Bucket: BUCKET, Key: key, UploadId: id }) };
  },
  UploadPart(state, { key, query, body }) {
    const number = Number(query.get('partNumber'));
    if (!(Number.isInteger(number) && number >= 1 && number <= 10_000)) throw new S3Refusal(400, 'InvalidArgument');
    const part = store(body);
    uploadAt(state, key, query).parts.set(number, part);
    return { headers: { etag: part.etag } };
  },
  CompleteMultipartUpload(state, { key, query, body }) {
    const { parts } = uploadAt(state, key, query);
    const named = [...body.toString().matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({
      number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
      etag: (/<ETag>(.*?)<\/ETag>/.exec(part)?.[1] ?? '').replaceAll('&quot;', '"'),
    }));
    if (named.length === 0) throw new S3Refusal(400, 'MalformedXML');
    if (named.some(({ number }, index) => index > 0 && number <= (named[index - 1]?.number ?? 0))) {
      throw new S3Refusal(400, 'InvalidPartOrder');
    }
    const found = named.map(({ number, etag }, index) => {
      const part = parts.get(number);
      if (part?.etag !== etag) throw new S3Refusal(400, 'InvalidPart');
      if (index < named.length - 1 && part.bytes.length < PART_BYTES_MIN) throw new S3Refusal(400, 'EntityTooSmall');
      return part;
    });
    const etag = `"${md5Of(Buffer.concat(found.map(({ bytes }) => md5Of(bytes)))).toString('hex')}-${found.length}"`;
    state.objects.set(key, { ...store(Buffer.concat(found.map(({ bytes }) => bytes))), etag });
    state.uploads.delete(query.get('uploadId') ?? '');
    return { body: xml('CompleteMultipartUploadResult', { Bucket: BUCKET, Key: key, ETag: etag }) };
  },
  AbortMultipartUpload(state, { key, query }) {
    uploadAt(state, key, query);
    state.uploads.delete(query.get('uploadId') ?? '');
    return { status: 204 };
  },
  ListMultipartUploads(state, { query }) {
    const prefix = query.get('prefix') ?? '';
    const uploads = [...state.uploads].filter(([, { key }]) => key.startsWith(prefix));
    const found = uploads.map(([id, { key, initiatedAt }]) =>
      element('Upload', { Key: key, UploadId: id, Initiated: initiatedAt.toISOString() }),
    );
    return { body: xml('ListMultipartUploadsResult', { Bucket: BUCKET, IsTruncated: false, '': found.join('') }) };
  },
};

function objectAt({ objects }: State, key: string): StoredObject {
  const object = objects.get(key);
  if (!object) throw new S3Refusal(404, 'NoSuchKey');
  return object;
}

function uploadAt({ uploads }: State, key: string, query: URLSearchParams): Upload {
  const upload = uploads.get(query.get('uploadId') ?? '');
  if (upload?.key !== key) throw new S3Refusal(404, 'NoSuchUpload');
  return upload;
}

type Values = Readonly<Record<string, string | number | boolean>>;

/** The value of the name '' is markup already. */
const element = (name: string, values: Values): string =>
  `<${name}>${Object.entries(values)
    .map(([key, value]) => (key === '' ? value : `<${key}>${escaped(String(value))}</${key}>`))
    .join('')}</${name}>`;

const xml = (name: string, values: Values): Buffer =>
  Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>${element(name, values)}`);

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

function checkBody({ headers, method }: ReceivedRequest, body: Buffer): void {
  const hash = createHash('sha256').update(body).digest('hex');
  if (headers['x-amz-content-sha256'] !== hash) throw new S3Refusal(400, 'XAmzContentSHA256Mismatch');
  const md5 = headers['content-md5'];
  if (md5 !== undefined && md5 !== md5Of(body).toString('base64')) throw new S3Refusal(400, 'BadDigest');
  if (method === 'PUT' && md5 === undefined) throw new S3Refusal(400, 'MissingContentMD5'); // Not S3's: ours to be sent.
  if (method === 'PUT' && headers['content-length'] === undefined) throw new S3Refusal(411, 'MissingContentLength');
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function checkSignature({ method, headers }: ReceivedRequest, url: URL): void {
  const [, id, date, region, signed = '', signature = ''] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)$/.exec(
      headers.authorization ?? '',
    ) ?? [];
  if (id === undefined) throw new S3Refusal(403, 'AccessDenied');
  if (id !== S3_KEYS.accessKeyId) throw new S3Refusal(403, 'InvalidAccessKeyId');
  if (region !== 'us-east-1') throw new S3Refusal(400, 'AuthorizationHeaderMalformed');
  const time = String(headers['x-amz-date']);
  const sentAt = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(Date.now() - sentAt) < CLOCK_SKEW_MS)) throw new S3Refusal(403, 'RequestTimeTooSkewed');

  const names = signed.split(';');
  const mustBeSigned = Object.keys(headers).filter((name) => name === 'host' || name.startsWith('x-amz-'));
  if (mustBeSigned.some((name) => !names.includes(name))) throw new S3Refusal(403, 'AccessDenied');
  const query = [...url.searchParams].map(([key, value]) => `${uriEncoded(key)}=${uriEncoded(value)}`).toSorted();
  const canonical = [
    method,
    url.pathname,
    query.join('&'),
    ...names.map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}`),
    '',
    signed,
    headers['x-amz-content-sha256'],
  ].join('\n');
  const scope = `${date}/${region}/s3/aws4_request`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const key = [date, region, 's3', 'aws4_request'].reduce<Buffer>(
    (secret, part) => hmac(secret, part ?? ''),
    Buffer.from(`AWS4${S3_KEYS.secretAccessKey}`),
  );
  const expected = hmac(key, ['AWS4-HMAC-SHA256', time, scope, hash].join('\n'));
  const given = Buffer.from(signature, 'hex');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new S3Refusal(403, 'SignatureDoesNotMatch');
  }
}

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

const uriEncoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
