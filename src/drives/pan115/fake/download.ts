import type { Call, Endpoint, Success } from './wire.ts';
import { Reply } from './wire.ts';
import type { Entry, User, World } from './world.ts';
import { isFolder } from './world.ts';

interface Link {
  readonly entry: Entry;
  readonly userAgent: string;
  readonly expiresAtMs: number;
  /** Null: none goes along. */
  readonly cookie: string | null;
  connections: number;
}

/** Addresses of files, each for the program that asked, and the host where they lead. */
export class Downloads {
  readonly #world: World;
  readonly #links = new Map<string, Link>();

  constructor(world: World) {
    this.#world = world;
  }

  endpoints(): Endpoint[] {
    return [
      {
        name: 'downurl',
        role: 'api',
        auth: 'token',
        verbs: ['POST'],
        path: '/open/ufile/downurl',
        form: 'pick_code!',
        handle: (call, user) => this.#urls(call, user),
      },
      {
        name: 'download',
        role: 'cdn',
        auth: 'none',
        verbs: ['GET', 'HEAD'],
        path: '/f/*',
        query: 't:int! u:int! c:int! f:int! s!',
        answer: (call) => this.#bytes(call),
      },
    ];
  }

  expire(): void {
    this.#links.clear();
  }

  #urls({ form, headers }: Call, user: User): Success | Reply {
    const world = this.#world;
    const files = (form.get('pick_code') ?? '').split(',').flatMap((code) => world.byPickCode(user, code) ?? []);
    if (files.every(isFolder)) return { data: [] };
    const cookie = world.settings.downloadCookie ? `uc=${world.nonce('c')}` : null;
    const entries = files.map((entry) => {
      const facts = {
        file_name: entry.name,
        file_size: entry.content?.size ?? 0,
        pick_code: entry.pickCode,
        sha1: entry.content?.sha1 ?? '',
      };
      if (isFolder(entry)) return [entry.id, { ...facts, url: false }];
      const token = world.nonce('s');
      const expiresAtMs = world.nowMs + world.settings.downloadMs;
      this.#links.set(token, { entry, userAgent: headers['user-agent'] ?? '', expiresAtMs, cookie, connections: 0 });
      const query = `t=${Math.floor(expiresAtMs / 1000)}&u=${user.id}&c=${world.settings.connectionsMax}&f=${cookie === null ? 1 : 3}&s=${token}`;
      const url = `${world.urls.cdn}/f/${entry.id}/${encodeURIComponent(entry.name)}?${query}`;
      return [entry.id, { ...facts, url: { url } }];
    });
    const data = Object.fromEntries(entries);
    if (cookie === null) return { data };
    const headersOut = { ...JSON_TYPE, 'set-cookie': `${cookie}; path=/; domain=.115.com` };
    return new Reply(200, headersOut, JSON.stringify({ state: true, code: 0, message: '', data }));
  }

  #bytes({ query, headers, gone }: Call): Reply {
    const world = this.#world;
    const link = this.#links.get(query.get('s') ?? '');
    if (!link || world.nowMs >= link.expiresAtMs)
      return new Reply(403, JSON_TYPE, JSON.stringify({ message: 'expired' }));
    if (headers['user-agent'] !== link.userAgent || link.userAgent === '') {
      world.violate('a download by another program than asked for it');
      return new Reply(403, JSON_TYPE, JSON.stringify({ message: 'invalid signature' }));
    }
    if (link.cookie !== null && headers.cookie !== link.cookie) {
      return new Reply(403, JSON_TYPE, JSON.stringify({ message: 'invalid signature' }));
    }
    if (link.cookie === null && headers.cookie !== undefined) world.violate('a cookie was sent to the content host');
    if (link.connections >= world.settings.connectionsMax) {
      world.violate('more connections to a file than its address allows');
      return new Reply(403, { 'content-type': 'text/plain' }, 'too many connections');
    }
    link.connections += 1;
    gone.addEventListener('abort', () => {
      link.connections -= 1;
    });
    return ranged(link.entry, headers.range);
  }
}

const JSON_TYPE = { 'content-type': 'application/json' };

function ranged({ content }: Entry, range: string | undefined): Reply {
  if (!content) return new Reply(404, {});
  const shared = { 'content-type': 'application/octet-stream', 'accept-ranges': 'bytes' };
  const { size } = content;
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  if (first === undefined) return new Reply(200, { ...shared, 'content-length': String(size) }, read(content, 0, size));
  const start = Number(first);
  const end = last ? Math.min(Number(last), size - 1) : size - 1;
  if (start >= size || end < start) return new Reply(416, { ...shared, 'content-range': `bytes */${size}` });
  const headers = {
    ...shared,
    'content-range': `bytes ${start}-${end}/${size}`,
    'content-length': String(end - start + 1),
  };
  return new Reply(206, headers, read(content, start, end + 1));
}

/** The bytes from `start` up to, not including, `end`. */
export async function* read(
  { chunks }: NonNullable<Entry['content']>,
  start: number,
  end: number,
): AsyncGenerator<Buffer> {
  let at = 0;
  for (const chunk of chunks) {
    const part = chunk.subarray(Math.max(start - at, 0), Math.max(end - at, 0));
    for (let offset = 0; offset < part.length; offset += 256 * 1024) yield part.subarray(offset, offset + 256 * 1024);
    at += chunk.length;
    if (at >= end) return;
  }
}
