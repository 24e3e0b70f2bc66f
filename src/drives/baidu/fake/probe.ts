import { createHash } from 'node:crypto';
import { parseLossless } from '../../../lib/json.ts';
import type { BaiduFake, BaiduFakeOptions } from './index.ts';
import { startBaiduFake } from './index.ts';
import type { Role } from './wire.ts';
import type { User, UserOptions } from './world.ts';

type Params = Readonly<Record<string, string>>;

/** An answer as the tests of the fake read it. */
export interface Probed {
  readonly status: number;
  readonly text: string;
  /** Whole numbers beyond 2⁵³ as strings; an empty object when the answer is not JSON. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly headers: Headers;
}

const IDS = new Set(['fs_id', 'fsid', 'uk', 'taskid', 'request_id']);

/** A fake with one user, and the smallest client that can speak to it. */
export async function probe(options: BaiduFakeOptions = {}, userOptions: UserOptions = {}) {
  const fake = await startBaiduFake(options);
  const user = fake.createUser(userOptions);
  return { fake, user, ...probeAs(fake, user) };
}

/** The client of one user. */
export function probeAs(fake: BaiduFake, user: User) {
  const { accessToken, refreshToken } = fake.grant(user);
  const call = (role: Role, path: string, query: Params, init: RequestInit = {}): Promise<Probed> => {
    const url = new URL(path, fake.urls[role]);
    url.search = new URLSearchParams({ access_token: accessToken, ...query }).toString();
    return fetchText(url.href, init);
  };
  const pan = (path: string, query: Params) => call('pan', path, query);
  const post = (path: string, query: Params, form: Params) =>
    call('pan', path, query, { method: 'POST', body: new URLSearchParams(form) });
  const file = '/rest/2.0/xpan/file';
  const putSlice = (session: { readonly path: string; readonly uploadid: string }, partseq: number, bytes: Buffer) => {
    const body = new FormData();
    body.append('file', new Blob([new Uint8Array(bytes)]), 'slice');
    const query = { method: 'upload', type: 'tmpfile', ...session, partseq: String(partseq) };
    const headers = { 'accept-encoding': 'identity' };
    return call('pcs', '/rest/2.0/pcs/superfile2', query, { method: 'POST', body, headers });
  };
  return {
    accessToken,
    refreshToken,
    call,
    pan,
    post,
    file: (method: string, query: Params = {}) => pan(file, { method, ...query }),
    multimedia: (method: string, query: Params = {}) => pan('/rest/2.0/xpan/multimedia', { method, ...query }),
    postFile: (method: string, form: Params, query: Params = {}) => post(file, { method, ...query }, form),
    manage: (opera: string, filelist: unknown, form: Params = {}) =>
      post(file, { method: 'filemanager', opera }, { async: '0', filelist: JSON.stringify(filelist), ...form }),
    token: (params: Params) =>
      fetchText(
        `${fake.urls.openapi}/oauth/2.0/token?${new URLSearchParams({
          client_id: fake.app.clientId,
          client_secret: fake.app.clientSecret,
          ...params,
        })}`,
      ),
    putSlice,
  };
}

export async function fetchText(url: string, init: RequestInit = {}): Promise<Probed> {
  const response = await fetch(url, { redirect: 'manual', ...init });
  const text = await response.text();
  const json = text.startsWith('{') ? (parseLossless(text, IDS) as Record<string, unknown>) : {};
  return { status: response.status, text, json, headers: response.headers };
}

export const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');

/** What precreate and create say alike of these slices. */
export const announce = (path: string, slices: readonly Buffer[]): Params => ({
  path,
  size: String(slices.reduce((sum, slice) => sum + slice.length, 0)),
  isdir: '0',
  rtype: '0',
  block_list: JSON.stringify(slices.map(md5)),
});
