/**
 * An imitation of a Netdisk server, written from its specification (../README.md): over HTTP on loopback, below
 * `/Netdisk`. What the specification does not allow is refused, and noted.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../../lib/clock.ts';
import { below, nameOf, parentOf, World } from './world.ts';

export interface NetdiskUser {
  readonly username: string;
  password: string;
  readonly world: World;
}

export type NetdiskFault = 'server_error' | 'html' | 'cut' | 'hang' | 'revoked';

/** Where the specification leaves room. Tests may change them between calls. */
export interface NetdiskSettings {
  /** What `destination` of an upload names. */
  uploadTo: 'folder' | 'file';
  /** How deletions are read: by the rule for every POST, or as the other changes are. */
  deleteBy: 'POST json' | 'POST form';
  /** Whether a part of a file can be asked for. */
  ranges: boolean;
  /** Whether a file comes with its length. */
  lengths: boolean;
}

export type NetdiskFake = Awaited<ReturnType<typeof startNetdiskFake>>;

interface Link {
  readonly user: NetdiskUser;
  readonly path: string;
  readonly expiresAtMs: number;
  readonly key: string | null;
}

/** A call of the interface, as far as it is checked for all of them. */
interface Call {
  readonly user: NetdiskUser;
  readonly values: Readonly<Record<string, string>>;
  /** Of a form: the file that came with it. */
  readonly file: { readonly name: string; readonly bytes: Buffer } | null;
}

/** How each call is sent, and with which values; those with `?` may be left out. */
const CALLS = {
  shareFile: { ways: ['GET'], values: ['destination', 'time?', 'key?', 'getRandom?'] },
  uploadFile: { ways: ['POST form'], values: ['destination'] },
  downloadFile: { ways: ['GET'], values: ['destination'] },
  searchFile: { ways: ['GET'], values: ['destination?', 'name', 'type?'] },
  deleteFile: { ways: ['POST json', 'POST form'], values: ['destination'] },
  storage: { ways: ['GET', 'POST form'], values: ['destination', 'url'] },
  renameFile: { ways: ['GET', 'POST form'], values: ['destination', 'name'] },
} as const;
type CallName = keyof typeof CALLS;

const DEFAULT_SECONDS = 15 * 60;

export async function startNetdiskFake({ clock = systemClock } = {}) {
  const users: NetdiskUser[] = [];
  const tokens = new Map<string, NetdiskUser>();
  const links = new Map<string, Link>();
  const violations: string[] = [];
  const counts = { requests: 0, logins: 0 };
  const settings: NetdiskSettings = { uploadTo: 'folder', deleteBy: 'POST json', ranges: false, lengths: true };
  let failing: CallName | null = null;
  let fault: { readonly kind: NetdiskFault; left: number } | null = null;

  const server = createServer((request, response) => {
    serve(request, response).catch((error) => {
      violations.push(String(error));
      response.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = `${origin}/Netdisk`;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    counts.requests += 1;
    const body = Buffer.concat(await request.toArray());
    const { pathname, searchParams } = new URL(request.url ?? '/', origin);
    const answer = (
      code: number,
      msg: string,
      data: unknown = null,
      state = code === 200 ? 'success' : 'exception',
    ) => {
      response.writeHead(200, { 'content-type': 'application/json;charset=UTF-8' });
      response.end(JSON.stringify({ code, state, msg, data }));
    };
    const wrong = (what: string): void => {
      violations.push(`${request.method} ${pathname}: ${what}`);
      answer(300, `缺少参数:${what} `);
    };
    if (fails(response)) return;

    if (pathname === '/Netdisk/user/login') {
      counts.logins += 1;
      if (request.method !== 'POST' || !isJson(request)) return wrong('login is a POST of JSON');
      if (request.headers.authorization !== undefined) return wrong('a login has no token');
      const { username, password, freeLog, ...others } = JSON.parse(body.toString());
      if (typeof freeLog !== 'boolean' || Object.keys(others).length > 0) return wrong('freeLog');
      const user = users.find((one) => one.username === username && one.password === password);
      if (!user || fault?.kind === 'revoked') return answer(300, '账号或密码错误', null, 'success');
      const token = `eyJhbGciOiJIUzI1NiJ9.${randomBytes(24).toString('base64url')}.${randomBytes(8).toString('base64url')}`;
      tokens.set(token, user);
      return answer(200, '登录成功', { name: user.username, token });
    }
    const download = /^\/Netdisk\/download\/(.+)$/.exec(pathname)?.[1];
    if (download !== undefined) {
      const link = links.get(download);
      if (!link) return answer(404, 'file not found');
      if (link.expiresAtMs <= clock.now().getTime()) return answer(600, 'JWT expired');
      if (link.key !== null) return answer(300, '密钥错误');
      return send(request, response, { path: link.path, user: link.user });
    }
    const name = /^\/Netdisk\/api\/(\w+)$/.exec(pathname)?.[1];
    if (name === undefined || !(name in CALLS)) {
      response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>404</h1>');
      return;
    }
    // The token alone: `Bearer …` is none that this server knows.
    const user = tokens.get(request.headers.authorization ?? '');
    if (!user || fault?.kind === 'revoked') {
      response.writeHead(200, { 'content-type': 'application/json;charset=UTF-8' });
      response.end('{"code":1000,"msg":"权限校验失败，请重新登录","state":"exception"}');
      return;
    }

    if (failing === name) {
      failing = null;
      return answer(500, '服务器爆了', null, 'error');
    }
    const { ways, values: known } = CALLS[name as CallName];
    const way = wayOf(request);
    // Read in another way, its values are not found.
    if (name === 'deleteFile' && way === 'POST json' && settings.deleteBy === 'POST form')
      return answer(300, '缺少参数:destination ');
    if (!(ways as readonly string[]).includes(way)) return wrong(`sent as ${way}`);
    let file: Call['file'] = null;
    const values: Record<string, string> = {};
    if (way === 'GET') {
      if (request.headers['content-type'] !== undefined) return wrong('a GET needs no content type');
      for (const [key, value] of searchParams) values[key] = value;
    } else {
      if ([...searchParams].length > 0) return wrong('the values of a POST are in its body');
      if (way === 'POST json') Object.assign(values, JSON.parse(body.toString()));
      else {
        const type = request.headers['content-type'] ?? '';
        const form = await new Response(body, { headers: { 'content-type': type } }).formData();
        for (const [key, value] of form) {
          if (typeof value === 'string') values[key] = value;
          else file = { name: value.name, bytes: Buffer.from(await value.arrayBuffer()) };
        }
      }
    }
    const names = known.map((one) => one.replace('?', ''));
    const unknown = Object.keys(values).find((key) => !names.includes(key));
    if (unknown !== undefined) return wrong(`unknown value ${unknown}`);
    const missing = known.find((key) => !key.endsWith('?') && !values[key]);
    if (missing !== undefined) return wrong(missing);
    if ((file !== null) !== (name === 'uploadFile')) return wrong('file');
    const { destination } = values;
    if (destination !== undefined && !destination.startsWith('/')) return wrong('destination');
    return acts[name as CallName]({ user, values, file }, answer, { request, response });
  }

  type AnswerWith = (code: number, msg: string, data?: unknown) => void;
  interface Exchange {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
  }
  type Act = (call: Call, answer: AnswerWith, exchange: Exchange) => void;

  const acts: Readonly<Record<CallName, Act>> = {
    searchFile({ user: { world }, values: { name = '', destination = '/', type = '' } }, answer) {
      const { file, directory } = world.search(name, destination);
      const files = type === '' ? file : file.filter((path) => path.endsWith(`.${type}`));
      const isFound = files.length + directory.length > 0;
      answer(200, '', {
        file: files,
        code: isFound ? 200 : 300,
        message: isFound ? '已找到匹配的文件' : '没有找到匹配的文件',
        directory,
      });
    },
    /** The download, and where there is nothing, the making of a folder: both stand at this address. */
    downloadFile({ user, values: { destination = '' } }, answer, { request, response }) {
      const kind = user.world.kindOf(destination);
      if (kind === 'FILE') return send(request, response, { path: destination, user });
      if (kind === 'FOLDER') return answer(300, '同名文件或文件夹已经存在');
      if (!user.world.put(destination, null)) return answer(404, 'file not found');
      return answer(200, '文件夹创建成功');
    },
    uploadFile({ user: { world }, values: { destination = '' }, file }, answer) {
      const path = settings.uploadTo === 'file' ? destination : below(destination, file?.name ?? '');
      if (world.kindOf(path) !== null) return answer(300, '同名文件或文件夹已经存在');
      if (world.kindOf(parentOf(path)) !== 'FOLDER' || !file) return answer(404, 'file not found');
      world.put(path, file.bytes);
      return answer(200, '上传成功');
    },
    deleteFile({ user: { world }, values: { destination = '' } }, answer) {
      if (destination === '/' || world.kindOf(destination) === null) return answer(404, 'file not found');
      world.remove(destination);
      return answer(200, '删除成功');
    },
    renameFile({ user: { world }, values: { destination = '', name = '' } }, answer) {
      if (destination === '/' || world.kindOf(destination) === null) return answer(300, '重命名目标不存在');
      const to = below(parentOf(destination), name);
      if (world.kindOf(to) !== null) return answer(300, '重复文件名扔上来搞毛？');
      world.rename(destination, to);
      return answer(200, '重命名成功');
    },
    shareFile({ user, values: { destination = '', time, key, getRandom } }, answer) {
      if (user.world.kindOf(destination) !== 'FILE') return answer(404, 'file not found');
      const seconds = time === undefined ? DEFAULT_SECONDS : Number(time);
      if (!Number.isSafeInteger(seconds) || seconds < 1) return answer(300, '缺少参数:time ');
      const chosen = key ?? (getRandom === 'true' ? randomBytes(3).toString('hex').toUpperCase() : null);
      const token = `eyJhbGciOiJIUzI1NiJ9.${randomBytes(24).toString('base64url')}`;
      links.set(token, { user, path: destination, expiresAtMs: clock.now().getTime() + seconds * 1000, key: chosen });
      return answer(200, '获取成功', {
        downloadURL: `${url}/download/${token}`,
        destination,
        // A local time without a zone, as the examples have it.
        'efficient time': '2021-08-26 01:29:15',
        key: chosen,
      });
    },
    storage({ user: { world }, values: { destination = '', url: address = '' } }, answer) {
      const link = links.get(address.slice(`${url}/download/`.length));
      const bytes = link?.user.world.bytesOf(link.path);
      if (!link || !bytes || world.kindOf(destination) !== 'FOLDER') return answer(404, 'file not found');
      if (link.expiresAtMs <= clock.now().getTime()) return answer(600, 'JWT expired at 2021-08-22T16:54:31Z.');
      const path = below(destination, nameOf(link.path));
      if (world.kindOf(path) !== null) return answer(404, 'file has been exit');
      world.put(path, bytes);
      return answer(200, '文件储存成功');
    },
  };

  /** The specification names no ranges: the whole file, whatever is asked for, unless the settings say otherwise. */
  function send(
    { headers }: IncomingMessage,
    response: ServerResponse,
    { path, user }: { readonly path: string; readonly user: NetdiskUser },
  ): void {
    const bytes = user.world.bytesOf(path) ?? Buffer.alloc(0);
    const [, first = '', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
    const isPart = settings.ranges && first !== '';
    const start = isPart ? Number(first) : 0;
    const end = Math.min(isPart && last !== '' ? Number(last) : bytes.length - 1, bytes.length - 1);
    if (isPart && start >= bytes.length) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
      return;
    }
    response.writeHead(isPart ? 206 : 200, {
      'content-type': path.endsWith('.json') ? 'application/json' : 'application/octet-stream',
      ...(settings.lengths ? { 'content-length': end - start + 1 } : {}),
      ...(isPart ? { 'content-range': `bytes ${start}-${end}/${bytes.length}` } : {}),
      'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(nameOf(path))}`,
    });
    response.end(bytes.subarray(start, end + 1));
  }

  /** Whether the fault that is armed answers in place of the server. */
  function fails(response: ServerResponse): boolean {
    if (!fault || fault.kind === 'revoked' || fault.left === 0) return false;
    fault.left -= 1;
    const { kind } = fault;
    if (kind === 'server_error') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"code":500,"state":"error","msg":"服务器爆了","data":null}');
    } else if (kind === 'html') response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>gateway</h1>');
    else if (kind === 'cut') {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
      response.write('{"code":2', () => response.destroy());
    }
    return true; // Of `hang` nothing more is heard.
  }

  return {
    url,
    violations,
    counts,
    settings,
    createUser: (
      username = `user-${users.length + 1}`,
      password = randomBytes(9).toString('base64url'),
    ): NetdiskUser => {
      const user = { username, password, world: new World() };
      users.push(user);
      return user;
    },
    /** All tokens run out; a login gives a new one. */
    expireTokens: () => tokens.clear(),
    arm: (kind: NetdiskFault, times = Number.POSITIVE_INFINITY) => {
      fault = { kind, left: times };
    },
    /** The next of these calls is answered with a failure of the server. */
    failNext: (name: CallName) => {
      failing = name;
    },
    /** Gives what was armed. */
    clear: (): NetdiskFault | null => {
      const { kind = null } = fault ?? {};
      fault = null;
      return kind;
    },
    close: async (): Promise<void> => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const isJson = ({ headers }: IncomingMessage): boolean => /^application\/json\b/.test(headers['content-type'] ?? '');

function wayOf(request: IncomingMessage): string {
  if (request.method !== 'POST') return request.method ?? '';
  if (isJson(request)) return 'POST json';
  return /^multipart\/form-data\b/.test(request.headers['content-type'] ?? '') ? 'POST form' : 'POST of another type';
}
