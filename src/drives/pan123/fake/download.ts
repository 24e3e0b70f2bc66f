import { createHash, randomBytes } from 'node:crypto';
import { inBin } from './tree.ts';
import { type Asked, type Call, type Endpoint, Refusal, Reply, writeJson } from './wire.ts';
import type { World } from './world.ts';

interface Link {
  readonly bytes: Buffer;
  readonly until: number;
  readonly city: string;
}

/** Links to the bytes, and the servers that give them. */
export function downloadEndpoints(world: World) {
  const links = new Map<string, Link>();
  const asked = new Map<bigint, number>();

  const linkTo = (bytes: Buffer): string => {
    const key = randomBytes(9).toString('hex');
    const until = world.now + world.settings.linkMs;
    links.set(key, { bytes, until, city: world.settings.apiCity });
    return `${world.urls.cdn}/download/${key}?t=${Math.floor(until / 1000)}&s=${key}`;
  };

  const info = ({ user, values }: Asked) => {
    const id = values.id('fileId');
    const entry = user.tree.get(id);
    const times = (asked.get(id) ?? 0) + 1;
    asked.set(id, times);
    if (!entry || inBin(entry) || times <= world.settings.lateFiles) throw new Refusal(5066, '文件不存在');
    if (!entry.content) throw new Refusal(1, '不支持下载文件夹');
    if (times <= world.settings.freshPolls) throw new Refusal(20103, '文件正在校验中,请间隔1秒后再试');
    const { bytes } = entry.content;
    if (user.trafficLeft !== null) {
      if (bytes.length > user.trafficLeft) throw new Refusal(5113, '本月流量已用尽，请开通会员');
      user.trafficLeft -= bytes.length;
    }
    return { downloadUrl: linkTo(bytes) };
  };

  const endpoints: Endpoint[] = [
    {
      role: 'api',
      verb: 'GET',
      path: '/api/v1/file/download_info',
      auth: 'token',
      params: 'fileId:int!',
      handle: info,
    },
    {
      role: 'cdn',
      verb: 'GET',
      path: '/download/*',
      auth: 'none',
      bytes: true,
      params: '*',
      answer: (call) => deliver(world, links.get(call.path.slice('/download/'.length)), call),
    },
  ];
  return { endpoints, linkTo };
}

function deliver(world: World, link: Link | undefined, { headers }: Call): Reply {
  const refused = (message: string): Reply =>
    new Reply(403, { 'content-type': 'application/json' }, writeJson({ code: 1010, message }));
  if (!link || link.until <= world.now) return refused('download err: 50002');
  if (link.city !== world.settings.cdnCity) return refused(`${world.settings.cdnCity} 与链接中的 ${link.city} 不一致`);
  const { bytes } = link;
  const etag = `"${createHash('md5').update(bytes).digest('hex')}"`;
  const standing = { 'accept-ranges': 'bytes', 'content-type': 'application/octet-stream', etag };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  if (from === undefined) return new Reply(200, standing, bytes);
  const start = Number(from);
  const end = Math.min(to ? Number(to) : bytes.length - 1, bytes.length - 1);
  if (start >= bytes.length || end < start) {
    return new Reply(416, { 'content-range': `bytes */${bytes.length}` });
  }
  const range = { 'content-range': `bytes ${start}-${end}/${bytes.length}` };
  return new Reply(206, { ...standing, ...range }, bytes.subarray(start, end + 1));
}
