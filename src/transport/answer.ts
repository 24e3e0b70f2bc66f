import { gunzipSync } from 'node:zlib';
import type { Dispatcher } from 'undici';
import type { DriveError } from '../lib/drive-error.ts';
import { parseLossless } from '../lib/json.ts';
import { type Classify, type Reply, statusError } from './classify.ts';
import { faultOf, peerError } from './faults.ts';
import { type Answer, BODY_BYTES_MAX, type OutboundRequest, type Peer } from './request.ts';
import { checkedStream, promisedBytes } from './stream.ts';

export interface ReadOptions {
  readonly peer: Peer;
  readonly classify: Classify;
  readonly textKeys: ReadonlySet<string>;
  readonly now: () => Date;
}

/** Enough for any provider's error; of what is longer only the beginning is looked at. */
const ERROR_BYTES_MAX = 64 * 1024;

/**
 * An answer in the form asked for.
 * @throws DriveError when the provider's table, the status or the body says that it is a failure.
 */
export async function readAnswer(
  response: Dispatcher.ResponseData,
  url: string,
  request: OutboundRequest,
  options: ReadOptions,
): Promise<Answer> {
  const { statusCode: status, body } = response;
  const headers = headersOf(response.headers);
  const succeeded = (status >= 200 && status <= 299) || request.accept?.includes(status) === true;

  if (request.as === 'stream' && succeeded) {
    const failure = failureOf({ status, headers, url, text: null, json: undefined }, request, options);
    const promised = failure ?? promisedBytes(options.peer, request, status, headers);
    if (promised instanceof Error) {
      body.on('error', ignore).destroy();
      throw promised;
    }
    const fault = (error: unknown) => faultOf(options.peer, error, request.signal);
    return { status, headers, url, body: checkedStream(body, { peer: options.peer, promised, fault }) };
  }

  const text = await readText(response, headers, request, succeeded, options);
  const json = parsed(text, options.textKeys);
  const failure = failureOf({ status, headers, url, text, json }, request, options);
  if (failure) throw failure;
  if (request.as === 'json' && json === undefined) throw notJson(options.peer, status, headers);
  return { status, headers, url, body: { json, text, empty: null, stream: undefined }[request.as] } as Answer;
}

function failureOf(reply: Reply, request: OutboundRequest, { peer, classify, now }: ReadOptions): DriveError | null {
  const told = classify(reply, request);
  if (told || request.accept?.includes(reply.status)) return told;
  return statusError(peer, reply, now());
}

/** A gateway's page, an empty body, a cut one: the provider's fault, and seldom for long. */
const notJson = (peer: Peer, status: number, headers: Headers): DriveError =>
  peerError(peer, 'unavailable', `${peer.title} gave an answer that is not understood. Try again later.`, {
    providerCode: `HTTP ${status}`,
    cause: new Error(`not JSON but ${headers.get('content-type') ?? 'of no type'}`),
  });

async function readText(
  { body }: Dispatcher.ResponseData,
  headers: Headers,
  request: OutboundRequest,
  succeeded: boolean,
  { peer }: ReadOptions,
): Promise<string> {
  const maxBytes = request.maxBodyBytes ?? BODY_BYTES_MAX;
  const wantedBytes = succeeded ? maxBytes : ERROR_BYTES_MAX;
  const chunks: Buffer[] = [];
  let received = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    received += chunk.length;
    chunks.push(chunk);
    if (received > wantedBytes) break; // Leaving the loop closes the connection.
  }
  if (received > wantedBytes && succeeded) throw tooLong(peer, maxBytes);
  const bytes = Buffer.concat(chunks).subarray(0, wantedBytes);
  return new TextDecoder().decode(labelledGzip(bytes, headers) ? unzipped(peer, bytes, maxBytes) : bytes);
}

const tooLong = (peer: Peer, maxBytes: number): DriveError =>
  peerError(peer, 'unexpected', `${peer.title} gave an answer longer than ${maxBytes} bytes.`);

/** We ask for no compression. Some compress all the same, and Baidu labels plain bodies as gzip: the bytes decide. */
const labelledGzip = (bytes: Buffer, headers: Headers): boolean =>
  headers.get('content-encoding') === 'gzip' && bytes[0] === 0x1f && bytes[1] === 0x8b;

function unzipped(peer: Peer, bytes: Buffer, maxBytes: number): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof RangeError) throw tooLong(peer, maxBytes);
    throw peerError(peer, 'unavailable', `${peer.title} gave a damaged answer. Try again.`, { cause: error });
  }
}

function parsed(text: string, textKeys: ReadonlySet<string>): unknown {
  try {
    return parseLossless(text, textKeys);
  } catch {
    return undefined; // That it is not JSON is for the classifier to judge.
  }
}

function headersOf(raw: Dispatcher.ResponseData['headers']): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(raw)) for (const each of [value ?? []].flat()) headers.append(name, each);
  return headers;
}

/** An answer that was given up may still break. */
const ignore = (): void => {};
