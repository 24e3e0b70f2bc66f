import type { Content } from './content.ts';
import type { Entry } from './tree.ts';
import { cloudMd5, sizeOf } from './tree.ts';
import { entryById, signature, signedUrl, signedUrlFault } from './views.ts';
import type { Call, Endpoint } from './wire.ts';
import { Refusal, Reply } from './wire.ts';
import type { User, World } from './world.ts';

const LINK_SECONDS = 8 * 3600;
/** The target of the redirect lives shorter than the link. */
const TARGET_SECONDS = 3600;
const USER_AGENT = 'pan.baidu.com';

/** The link that `filemetas` gives: without the token, and of no use without the right `User-Agent`. */
export function dlinkOf(world: World, entry: Entry, user: User): string {
  const path = `/file/${cloudMd5(entry)}`;
  const query = new URLSearchParams({
    fid: `${user.uk}-250528-${entry.fsId}`,
    rt: 'pr',
    expires: '8h',
    chkv: '0',
    'dp-logid': world.nonce('log'),
    time: String(world.now),
  });
  query.set('sign', signature(path, query));
  return `${world.urls.pcs}${path}?${query}`;
}

/** The two hops of a download, and what the delivery host holds beside files. */
export function downloadEndpoints(world: World): Endpoint[] {
  const hop = {
    verbs: ['GET', 'HEAD'],
    envelope: 'error_code',
    requestId: 'number',
    query: '*',
    path: '/file/*',
  } as const;
  const cdn = { ...hop, role: 'cdn', auth: 'none' } as const;
  return [
    { ...hop, role: 'pcs', auth: 'token', name: 'dlink', handle: (call, user) => followLink(world, call, user) },
    { ...cdn, name: 'download', answer: (call) => deliver(world, call) },
    { ...cdn, path: '/thumbnail', name: 'thumbnail', answer: (call) => sample(world, call, 'image/jpeg') },
    { ...cdn, path: '/preview', name: 'preview', answer: (call) => sample(world, call, 'application/pdf') },
    { ...cdn, path: '/segment/*', name: 'segment', answer: (call) => sample(world, call, 'video/mp2t') },
    { ...cdn, path: '/subtitle', name: 'subtitle', answer: (call) => subtitle(world, call) },
  ];
}

function followLink(world: World, call: Call, user: User): Reply {
  checkUserAgent(world, call);
  const { query } = call;
  if (query.get('sign') !== signature(call.path, query)) {
    world.refuse(31362, 'the dlink was altered on its way', { status: 403 });
  }
  if (Number(query.get('time')) + LINK_SECONDS <= world.now)
    throw new Refusal(31360, 'expire time out', { status: 403 });
  const [uk, , fsId = ''] = (query.get('fid') ?? '').split('-');
  if (uk !== user.uk) throw new Refusal(31626, 'user is not authorized', { status: 403 });
  const entry = entryById(world, fsId);
  if (!entry?.content) throw new Refusal(31066, 'file does not exist', { status: 404 });
  if (world.settings.directDownloads) return bytesOf(world, call, entry.content);
  const location = signedUrl(
    world,
    `/file/${cloudMd5(entry)}`,
    { fid: fsId, size: String(sizeOf(entry)) },
    TARGET_SECONDS,
  );
  return new Reply(302, { location });
}

function deliver(world: World, call: Call): Reply {
  checkUserAgent(world, call);
  checkSigned(world, call);
  const entry = entryById(world, call.query.get('fid') ?? '');
  if (!entry?.content) throw new Refusal(31202, 'object not exists', { status: 404 });
  return bytesOf(world, call, entry.content);
}

function checkUserAgent(world: World, call: Call): void {
  if (call.headers['user-agent'] === USER_AGENT) return;
  world.refuse(31326, `the ${call.role} hop of a download has the User-Agent ${call.headers['user-agent']}`, {
    status: 403,
    extra: { hitcode: 109 },
  });
}

function checkSigned(world: World, call: Call): void {
  if (call.query.has('access_token') || call.headers.authorization !== undefined) {
    world.refuse(31362, 'the delivery host was sent the token', { status: 403 });
  }
  const fault = signedUrlFault(world, call.path, call.query);
  if (fault === 'altered') world.refuse(31362, 'an address of the delivery host was altered', { status: 403 });
  if (fault === 'expired') throw new Refusal(31360, 'expire time out', { status: 403 });
}

/** The whole file, or the one range that was asked for. */
function bytesOf(world: World, call: Call, content: Content): Reply {
  const headers = {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    ...(content.md5 !== null && { 'content-md5': content.md5, etag: content.md5 }),
  };
  const range = rangeOf(call.headers.range, content.size);
  if (range === 'unsatisfiable') return new Reply(416, { 'content-range': `bytes */${content.size}` });
  const { start, end } = range ?? { start: 0, end: content.size };
  return new Reply(
    range ? 206 : 200,
    {
      ...headers,
      'content-length': String(end - start),
      ...(range && { 'content-range': `bytes ${start}-${end - 1}/${content.size}` }),
    },
    call.verb === 'HEAD' ? '' : chunks(world, content, { start, end }),
  );
}

async function* chunks(world: World, content: Content, range: { start: number; end: number }): AsyncIterable<Buffer> {
  yield* world.contents.read(content, range.start, range.end);
}

/** Null for no range, or one that the host passes over. */
function rangeOf(header: string | undefined, size: number): { start: number; end: number } | 'unsatisfiable' | null {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return null;
  if (first === '') {
    const start = Math.max(0, size - Number(last));
    return start === size ? 'unsatisfiable' : { start, end: size };
  }
  const start = Number(first);
  if (start >= size) return 'unsatisfiable';
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  return end <= start ? null : { start, end };
}

function sample(world: World, call: Call, type: string): Reply {
  checkSigned(world, call);
  return new Reply(200, { 'content-type': type }, Buffer.from(`${type} ${call.path} ${call.query.get('fid')}`));
}

function subtitle(world: World, call: Call): Reply {
  checkSigned(world, call);
  const entry = entryById(world, call.query.get('fid') ?? '');
  return new Reply(200, { 'content-type': 'text/plain' }, entry?.media.subtitles ?? '');
}
