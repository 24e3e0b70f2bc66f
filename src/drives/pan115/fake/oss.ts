import { createHash, createHmac } from 'node:crypto';
import { headOf, OSS_HOST, type Sts, type Uploads, type UploadTask } from './upload.ts';
import type { Call } from './wire.ts';
import { Reply } from './wire.ts';
import type { Content, World } from './world.ts';
import { attach } from './world.ts';

const SIGNED = new Set([
  'uploads',
  'sequential',
  'uploadId',
  'partNumber',
  'callback',
  'callback-var',
  'security-token',
]);
const SKEW_MS = 15 * 60_000;
const PART_BYTES_MIN = 100 * 1024;
const PARTS_MAX = 10_000;

interface Part {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly at: string;
}
interface Multipart {
  readonly id: string;
  readonly bucket: string;
  readonly object: string;
  readonly isSequential: boolean;
  readonly parts: Part[];
}

/** The storage: it keeps bytes, and tells the service of a file when it is told to. */
export class Oss {
  readonly uploads: Multipart[] = [];
  /** What became of files: `refused` by the service, or it `failed` to answer in time, so often. */
  readonly callbacks = { refused: 0, failed: 0 };
  /** Parts that came, each time. */
  partsReceived = 0;
  readonly #world: World;
  readonly #tasks: Uploads;

  constructor(world: World, tasks: Uploads) {
    this.#world = world;
    this.#tasks = tasks;
  }

  nameOf({ verb, query }: Call): string {
    if (query.has('uploads')) return 'oss.initiate';
    if (verb === 'PUT') return query.has('partNumber') ? 'oss.part' : 'oss.put';
    return { GET: 'oss.parts', POST: 'oss.complete', DELETE: 'oss.abort' }[verb] ?? 'none';
  }

  failure(status: number, code: string): Reply {
    const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n  <Code>${code}</Code>\n  <Message>${code}</Message>\n</Error>`;
    return new Reply(status, { 'content-type': 'application/xml' }, xml, code);
  }

  /** Forgets uploads that go on, as after some days. */
  forget(): void {
    this.uploads.length = 0;
  }

  answer(call: Call): Reply {
    const fault = this.#fault(call);
    if (fault) return this.failure(...fault);
    const bucket = (call.headers.host ?? '').split('.')[0] ?? '';
    const object = call.path.slice(1);
    const { query } = call;
    switch (this.nameOf(call)) {
      case 'oss.initiate':
        return this.#initiate(bucket, object, query);
      case 'oss.part':
        return this.#part(call, this.#find(bucket, object, query));
      case 'oss.parts':
        return this.#parts(call, this.#find(bucket, object, query));
      case 'oss.complete':
        return this.#complete(call, this.#find(bucket, object, query));
      case 'oss.abort':
        return this.#abort(this.#find(bucket, object, query));
      case 'oss.put':
        return this.#stored(call, { bucket, object, isSequential: true }, [call.body]);
      default:
        return this.failure(405, 'MethodNotAllowed');
    }
  }

  /** The same checks for all: host, time, credentials, signature. */
  #fault(call: Call): [number, string] | null {
    const { headers } = call;
    if (!headers.host?.endsWith(`.${OSS_HOST}`)) return [403, 'SecondLevelDomainForbidden'];
    const date = Date.parse(String(headers['x-oss-date'] ?? headers.date ?? ''));
    if (Number.isNaN(date)) return [403, 'AccessDenied'];
    if (Math.abs(date - this.#world.nowMs) > SKEW_MS) return [403, 'RequestTimeTooSkewed'];
    const [, id, signature] = /^OSS ([^:]+):(.+)$/.exec(headers.authorization ?? '') ?? [];
    const sts = this.#tasks.credentials.find((one) => one.id === id);
    if (!sts) return [403, 'InvalidAccessKeyId'];
    if (headers['x-oss-security-token'] !== sts.token) return [403, 'InvalidSecurityToken'];
    if (this.#world.nowMs >= sts.expiresAtMs) return [403, 'SecurityTokenExpired'];
    if (signature !== this.#sign(call, sts)) {
      this.#world.violate(`a request to the storage was signed wrong: ${call.verb} ${call.path}`);
      return [403, 'SignatureDoesNotMatch'];
    }
    if (call.verb !== 'GET' && headers['transfer-encoding'] !== undefined) return [411, 'MissingContentLength'];
    return null;
  }

  #sign({ verb, headers, path, query }: Call, sts: Sts): string {
    const own = Object.keys(headers)
      .filter((name) => name.startsWith('x-oss-'))
      .sort();
    const signed = [...new Set(query.keys())].filter((name) => SIGNED.has(name)).sort();
    const parameters = signed.map((name) => (query.get(name) === '' ? name : `${name}=${query.get(name)}`)).join('&');
    const bucket = (headers.host ?? '').split('.')[0];
    const text = [
      verb,
      headers['content-md5'] ?? '',
      headers['content-type'] ?? '',
      headers['x-oss-date'] ?? headers.date ?? '',
      ...own.map((name) => `${name}:${String(headers[name]).trim()}`),
      `/${bucket}${path}${parameters === '' ? '' : `?${parameters}`}`,
    ].join('\n');
    return createHmac('sha1', sts.secret).update(text).digest('base64');
  }

  #find(bucket: string, object: string, query: URLSearchParams): Multipart | null {
    const id = query.get('uploadId');
    return this.uploads.find((one) => one.id === id && one.bucket === bucket && one.object === object) ?? null;
  }

  #initiate(bucket: string, object: string, query: URLSearchParams): Reply {
    const isKnown = this.#tasks.tasks.some((task) => task.bucket === bucket && task.object === object);
    if (!isKnown) return this.failure(403, 'AccessDenied');
    const upload = { id: this.#world.nonce('UP'), bucket, object, isSequential: query.has('sequential'), parts: [] };
    if (!upload.isSequential) this.#world.violate('an upload was begun without `sequential`');
    this.uploads.push(upload);
    return xmlReply(
      `<InitiateMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${object}</Key><UploadId>${upload.id}</UploadId></InitiateMultipartUploadResult>`,
    );
  }

  #part({ query, body, headers }: Call, upload: Multipart | null): Reply {
    if (!upload) return this.failure(404, 'NoSuchUpload');
    this.partsReceived += 1;
    const number = Number(query.get('partNumber'));
    if (number < 1 || number > PARTS_MAX) return this.failure(400, 'InvalidArgument');
    const md5 = createHash('md5').update(body).digest();
    if (headers['content-md5'] !== undefined && headers['content-md5'] !== md5.toString('base64')) {
      return this.failure(400, 'InvalidDigest');
    }
    if (number <= upload.parts.length) return this.failure(409, 'PartAlreadyExist');
    if (number > upload.parts.length + 1) return this.failure(400, 'PartNotSequential');
    const etag = md5.toString('hex').toUpperCase();
    upload.parts.push({ bytes: body, etag, at: new Date(this.#world.nowMs).toISOString() });
    return new Reply(200, { etag: `"${etag}"`, 'x-oss-hash-crc64ecma': '1' });
  }

  #parts({ query }: Call, upload: Multipart | null): Reply {
    if (!upload) return this.failure(404, 'NoSuchUpload');
    const marker = Number(query.get('part-number-marker') ?? 0);
    const limit = Math.min(Number(query.get('max-parts') ?? 1000), this.#world.settings.partsPage);
    const shown = upload.parts.slice(marker, marker + limit);
    const isTruncated = marker + limit < upload.parts.length;
    const parts = shown.map(
      ({ bytes, etag, at }, index) =>
        `<Part><PartNumber>${marker + index + 1}</PartNumber><LastModified>${at}</LastModified><ETag>"${etag}"</ETag><Size>${bytes.length}</Size></Part>`,
    );
    return xmlReply(
      `<ListPartsResult><UploadId>${upload.id}</UploadId><NextPartNumberMarker>${marker + shown.length}</NextPartNumberMarker><MaxParts>${limit}</MaxParts><IsTruncated>${isTruncated}</IsTruncated>${parts.join('')}</ListPartsResult>`,
    );
  }

  #complete(call: Call, upload: Multipart | null): Reply {
    if (!upload) return this.failure(404, 'NoSuchUpload');
    if (!/xml/.test(call.headers['content-type'] ?? '')) this.#world.violate('the list of parts is not called XML');
    const listed = [...call.body.toString().matchAll(/<Part>([\s\S]*?)<\/Part>/g)].map(([, part = '']) => ({
      number: Number(/<PartNumber>(\d+)<\/PartNumber>/.exec(part)?.[1]),
      etag: (/<ETag>([^<]*)<\/ETag>/.exec(part)?.[1] ?? '').replaceAll('"', ''),
    }));
    if (listed.length === 0) return this.failure(400, 'MalformedXML');
    const isOrdered = listed.every(({ number }, index) => index === 0 || number > (listed[index - 1]?.number ?? 0));
    if (!isOrdered) return this.failure(400, 'InvalidPartOrder');
    const parts = listed.map(({ number, etag }) => {
      const part = upload.parts[number - 1];
      return part?.etag === etag ? part : null;
    });
    if (parts.some((part) => part === null)) return this.failure(400, 'InvalidPart');
    const bytes = parts.flatMap((part) => part?.bytes ?? []);
    if (bytes.slice(0, -1).some(({ length }) => length < PART_BYTES_MIN)) return this.failure(400, 'EntityTooSmall');
    this.uploads.splice(this.uploads.indexOf(upload), 1);
    return this.#stored(call, upload, bytes);
  }

  #abort(upload: Multipart | null): Reply {
    if (!upload) return this.failure(404, 'NoSuchUpload');
    this.uploads.splice(this.uploads.indexOf(upload), 1);
    return new Reply(204, {});
  }

  /** An object is whole. Only with the words of the service does it hear of it. */
  #stored(
    { headers }: Call,
    place: Pick<Multipart, 'bucket' | 'object' | 'isSequential'>,
    chunks: readonly Buffer[],
  ): Reply {
    const world = this.#world;
    const task = this.#tasks.tasks.find((one) => one.bucket === place.bucket && one.object === place.object);
    const words = headers['x-oss-callback'];
    const variables = headers['x-oss-callback-var'];
    if (words === undefined || variables === undefined) {
      world.violate('a file was made without telling the service');
      return xmlReply('<CompleteMultipartUploadResult></CompleteMultipartUploadResult>');
    }
    const isVerbatim = task && decoded(words) === task.callback && decoded(variables) === task.callbackVar;
    if (!isVerbatim) {
      world.violate('the words for the service are not those that it gave');
      return this.failure(203, 'CallbackFailed');
    }
    const content = world.keep(chunks);
    if (this.callbacks.failed > 0) {
      this.callbacks.failed -= 1;
      return this.failure(203, 'CallbackFailed');
    }
    return this.#register(task, content, place.isSequential);
  }

  #register(task: UploadTask, content: Content, isSequential: boolean): Reply {
    const world = this.#world;
    const folder = world.entry(task.user, task.parentId);
    const isRight = isSequential && content.sha1 === task.sha1 && content.size === task.size;
    if (this.callbacks.refused > 0 || !isRight || !folder) {
      this.callbacks.refused = Math.max(0, this.callbacks.refused - 1);
      if (!isRight) world.contents.delete(`${content.sha1} ${content.size}`);
      return jsonReply({ state: false, code: 31004, message: '上传失败', data: [] });
    }
    if (task.preid !== null && task.preid !== headOf(content)) world.violate('preid is not that of the file');
    const made = world.newEntry(task.name, content);
    attach(made, folder);
    task.isMade = true;
    return jsonReply({
      state: true,
      code: 0,
      message: '',
      data: {
        pick_code: made.pickCode,
        file_name: made.name,
        file_size: content.size,
        file_id: made.id,
        sha1: content.sha1,
        thumb_url: '',
        aid: 1,
        cid: folder.id,
      },
    });
  }
}

const decoded = (value: string | string[]): string => Buffer.from(String(value), 'base64').toString();

const xmlReply = (xml: string): Reply =>
  new Reply(200, { 'content-type': 'application/xml' }, `<?xml version="1.0" encoding="UTF-8"?>\n${xml}`);

const jsonReply = (fields: object): Reply =>
  new Reply(200, { 'content-type': 'application/json' }, JSON.stringify(fields));
