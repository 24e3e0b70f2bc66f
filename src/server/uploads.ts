import type { IncomingMessage, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import { decodeEntryId } from '../graph/ids.ts';
import type { Clock } from '../lib/clock.ts';
import { findDomainError } from '../lib/errors.ts';
import { UploadRefusedError } from '../lib/upload-refusal.ts';
import type { Services } from '../services/services.ts';
import { conflictPolicyOf, UPLOAD_BYTES_MAX } from '../services/upload-plans.ts';
import { UPLOADS_PATH } from '../services/uploads.ts';
import type { CorsRules } from './cors.ts';
import type { ClientFacts } from './graphql.ts';
import type { Route } from './http.ts';
import { STATUSES } from './refusal.ts';
import {
  byteCount,
  CHUNK_TYPE,
  checksumOf,
  metadataOf,
  methodOf,
  REFUSAL_STATUSES,
  required,
  TUS_CHECKSUMS,
  TUS_EXTENSIONS,
  TUS_VERSION,
  TusError,
} from './tus.ts';

/** What a page of another origin may do: all that a tus client does. */
const CORS: CorsRules = {
  methods: ['OPTIONS', 'POST', 'HEAD', 'PATCH', 'DELETE'],
  requestHeaders: [
    'authorization',
    'content-type',
    'tus-resumable',
    'upload-checksum',
    'upload-length',
    'upload-metadata',
    'upload-offset',
    'x-http-method-override',
    'x-request-id',
    'x-requested-with',
  ],
  exposedHeaders: [
    'location',
    'retry-after',
    'tus-checksum-algorithm',
    'tus-extension',
    'tus-max-size',
    'tus-resumable',
    'tus-version',
    'upload-expires',
    'upload-length',
    'upload-metadata',
    'upload-offset',
  ],
};

/** How long the rest of a refused body is thrown away as it comes, in milliseconds, so that its sender reads the answer. */
const LINGER_MS = 5_000;

const TOKEN = /^[A-Za-z0-9_-]{43}$/;

type Upload = Awaited<ReturnType<Services['uploads']['status']>>;

export interface UploadsRouteOptions {
  readonly uploads: Services['uploads'];
  readonly links: Services['links'];
  readonly clock: Clock;
  readonly clientOf: (request: IncomingMessage) => Promise<ClientFacts>;
}

/** What a request asks for, and where its answer goes. */
interface Exchange extends UploadsRouteOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * The bytes of uploads by tus 1.0: below `/uploads/` those that `startUpload` has begun, whose URL is the right to send,
 * and at `/uploads` new ones for clients that speak tus only, with a bearer token.
 *
 * Our own handler rather than @tus/server 2.4: that one knows no checksums, method override or per-upload expiry, polls
 * the event loop while it waits for a lock, and puts four streams around each body.
 */
export const createUploadRoutes = (options: UploadsRouteOptions): Route[] =>
  [UPLOADS_PATH, UPLOADS_PATH.slice(0, -1)].map((path) => ({
    path,
    cors: CORS,
    longBodies: true,
    handle: (request, response) => answer({ ...options, request, response }),
  }));

async function answer(exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  response.setHeader('Tus-Resumable', TUS_VERSION);
  response.setHeader('Cache-Control', 'no-store');
  try {
    await route(exchange);
  } catch (error) {
    refuse(exchange, error);
  }
  if (!request.complete) discardBody(request);
}

async function route(exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  const method = methodOf(request.method ?? '', request.headers);
  if (method === 'OPTIONS') {
    tellAbilities(response);
    response.writeHead(204).end();
    return;
  }
  if (request.headers['tus-resumable'] !== TUS_VERSION) {
    response.setHeader('Tus-Version', TUS_VERSION);
    throw new TusError(412, `Tus-Resumable must be ${TUS_VERSION}.`);
  }

  const token = tokenOf(request);
  const act = token === null ? CREATION[method] : UPLOAD[method];
  if (!act) throw new TusError(405, 'This method is not for this address.');
  await act(exchange, token ?? '');
}

type Act = (exchange: Exchange, token: string) => Promise<void>;
const CREATION: Readonly<Record<string, Act>> = { POST: create };
const UPLOAD: Readonly<Record<string, Act>> = { HEAD: tell, PATCH: append, DELETE: terminate };

/** Null: the address of all uploads. @throws UploadRefusedError when it cannot be the address of one. */
function tokenOf({ url = '' }: IncomingMessage): string | null {
  const below = url.split('?', 1)[0]?.slice(UPLOADS_PATH.length) ?? '';
  if (below === '') return null;
  if (!TOKEN.test(below)) throw new UploadRefusedError('unknown', 'There is no such upload.');
  return below;
}

function tellAbilities(response: ServerResponse): void {
  response.setHeader('Tus-Version', TUS_VERSION);
  response.setHeader('Tus-Extension', TUS_EXTENSIONS);
  response.setHeader('Tus-Checksum-Algorithm', TUS_CHECKSUMS);
  response.setHeader('Tus-Max-Size', UPLOAD_BYTES_MAX);
}

async function create(exchange: Exchange): Promise<void> {
  const { request, response, uploads, links, clientOf } = exchange;
  const { headers } = request;
  const { viewer } = await clientOf(request);
  if (!viewer) {
    response.setHeader('WWW-Authenticate', 'Bearer');
    throw new TusError(401, 'Send the header `Authorization: Bearer <accessToken>`.');
  }
  if (!viewer.scopes.has('WRITE')) throw new TusError(403, 'This API key has not the right to upload.');

  const uploadMetadata = String(headers['upload-metadata'] ?? '');
  const metadata = metadataOf(uploadMetadata);
  const sha256 = metadata.get('sha256');
  const started = await uploads.create(viewer, {
    parent: decodeEntryId(required(metadata.get('parentId') ?? null, 'parentId in Upload-Metadata')),
    name: required(metadata.get('filename') ?? metadata.get('name') ?? null, 'filename in Upload-Metadata'),
    sizeBytes: required(byteCount(headers, 'upload-length'), 'Upload-Length'),
    mimeType: metadata.get('filetype') ?? null,
    hashes: sha256 === undefined ? [] : [{ algorithm: 'SHA256', value: sha256.toLowerCase() }],
    onConflict: conflictPolicyOf(metadata.get('onConflict')),
    uploadMetadata,
  });
  const path = started.uploadPath ?? '';
  response.setHeader('Location', links.absolute(path));
  if (headers['content-type'] !== CHUNK_TYPE) {
    tellExpiry(response, started.expiresAt);
    response.writeHead(201).end();
    return;
  }
  const upload = await uploads.append(path.slice(UPLOADS_PATH.length), { ...bodyOf(request), offset: 0 });
  tellProgress(response, upload);
  response.writeHead(201).end();
}

async function tell({ response, uploads }: Exchange, token: string): Promise<void> {
  const upload = await uploads.status(token);
  tellProgress(response, upload);
  response.setHeader('Upload-Length', upload.bytesTotal ?? 0);
  if (upload.uploadMetadata) response.setHeader('Upload-Metadata', upload.uploadMetadata);
  response.writeHead(200).end();
}

async function append({ request, response, uploads }: Exchange, token: string): Promise<void> {
  const { headers } = request;
  if (headers['content-type'] !== CHUNK_TYPE) throw new TusError(415, `Content-Type must be ${CHUNK_TYPE}.`);
  const offset = required(byteCount(headers, 'upload-offset'), 'Upload-Offset');
  tellProgress(response, await uploads.append(token, { ...bodyOf(request), offset }));
  response.writeHead(204).end();
}

async function terminate({ response, uploads }: Exchange, token: string): Promise<void> {
  try {
    await uploads.terminate(token);
  } catch (error) {
    if (error instanceof UploadRefusedError && error.refusal === 'finished') throw new TusError(403, error.message);
    throw error;
  }
  response.writeHead(204).end();
}

const bodyOf = (request: IncomingMessage) => ({
  body: request,
  lengthBytes:
    request.headers['transfer-encoding'] === undefined ? (byteCount(request.headers, 'content-length') ?? 0) : null,
  checksum: checksumOf(request.headers),
});

function tellProgress(response: ServerResponse, { state, bytesDone, bytesTotal, expiresAt }: Upload): void {
  const isReceiving = state === 'WAITING' || state === 'PAUSED';
  response.setHeader('Upload-Offset', isReceiving ? bytesDone : (bytesTotal ?? 0));
  if (state === 'WAITING') tellExpiry(response, expiresAt ?? null);
}

function tellExpiry(response: ServerResponse, expiresAt: Date | null): void {
  if (expiresAt) response.setHeader('Upload-Expires', expiresAt.toUTCString());
}

function refuse({ request, response, clock }: Exchange, error: unknown): void {
  const expected = findDomainError(error);
  const isKnown = expected || error instanceof TusError || error instanceof UploadRefusedError;
  if (!isKnown || response.headersSent) throw error;
  if (response.destroyed) return;
  if (expected?.retryAt) {
    const seconds = Math.ceil((expected.retryAt.getTime() - clock.now().getTime()) / 1000);
    response.setHeader('Retry-After', Math.max(1, seconds));
  }
  const status = statusOf(error, expected);
  const reason = status === 460 ? 'Checksum Mismatch' : (STATUS_CODES[status] ?? 'Refused');
  response.writeHead(status, reason, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(request.method === 'HEAD' ? undefined : `${(error as Error).message}\n`);
}

function statusOf(error: unknown, expected: ReturnType<typeof findDomainError>): number {
  if (error instanceof TusError) return error.status;
  if (error instanceof UploadRefusedError) return REFUSAL_STATUSES[error.refusal];
  return expected ? STATUSES[expected.code] : 500;
}

/** A client that is cut off while it sends never reads its answer: so the rest is read, but not for ever. */
function discardBody(request: IncomingMessage): void {
  const timer = setTimeout(() => request.destroy(), LINGER_MS).unref();
  request.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer));
  request.resume();
}
