import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { startClouds } from '../clouds/clouds.ts';
import { Api } from './api.ts';
import { visitCloud } from './cloud.ts';
import { goAround, type Stop } from './copies.ts';
import { type Downloaded, download } from './download.ts';
import { inspectFile, type LocalFile, makeFile } from './file.ts';
import { bytes, duration, rate } from './format.ts';
import { freePort, type ServerProcess } from './process.ts';
import { say } from './say.ts';
import { startServer } from './server.ts';
import { upload } from './upload.ts';

export interface DemoOptions {
  /** Temporary; the server's data and the made file go there. */
  readonly folder: string;
  /** A file to upload; null: one is made. */
  readonly path: string | null;
  /** How large the made one is. */
  readonly sizeBytes: number;
  /** Also the way through the clouds, or rather their imitations. */
  readonly clouds: boolean;
  /** Leaves the server running until the signal. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
}

/**
 * The whole way of a file: into the drive, found there, and out again by both kinds of link; then into each cloud and
 * out again; and at last from drive to drive.
 * @throws Error at the first step that fails, and when the bytes that come out are others than those that went in.
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { folder, path, sizeBytes, keep, signal } = options;
  const startedMs = performance.now();
  const file = await (path === null
    ? makeFile(join(folder, 'demo.bin'), sizeBytes, signal)
    : inspectFile(path, signal));
  say('file', `${file.path}, ${bytes(file.sizeBytes)}`);

  const port = await freePort();
  await using clouds = options.clouds ? await startClouds(`http://127.0.0.1:${port}`) : null;
  const server = await startServer({ dataDir: join(folder, 'data'), settings: clouds?.settings, port, signal });
  try {
    say('server', `${server.url}, ready in ${duration(server.readyMs)}`);
    const api = new Api(server.url);
    const drive = await register(api, signal);
    const entryId = await putIn(api, file, drive, signal);
    await find(api, file, drive, signal);
    const copies = await takeOut(api, entryId, signal);
    compare(file, copies);
    const stops: Stop[] = [{ title: 'the built-in drive', rootId: drive.rootId, entryId }];
    for (const cloud of clouds?.all ?? []) stops.push(await visitCloud(api, cloud, file, signal));
    await goAround(api, stops, file, signal);
    await sayMemory(server);
    say('done', `in ${duration(performance.now() - startedMs)}`);
    if (keep) await stay(server, api, signal);
  } finally {
    await server.stop();
  }
}

interface Drive {
  readonly accountId: string;
  readonly rootId: string;
}

async function register(api: Api, signal: AbortSignal): Promise<Drive> {
  const { session, user } = await api.mutate<{
    session: { accessToken: string };
    user: {
      username: string;
      role: string;
      accounts: { nodes: { id: string; label: string; root: { id: string } }[] };
    };
  }>(
    'register',
    { username: 'demo', password: `demo ${crypto.randomUUID()}` },
    'session { accessToken } user { username role accounts(first: 1) { nodes { id label root { id } } } }',
    signal,
  );
  api.token = session.accessToken;
  const [account] = user.accounts.nodes;
  if (!account) throw new Error('The new user has no drive.');
  say('register', `${user.username}, ${user.role}, with the drive "${account.label}"`);
  return { accountId: account.id, rootId: account.root.id };
}

async function putIn(api: Api, file: LocalFile, { rootId }: Drive, signal: AbortSignal): Promise<string> {
  const name = basename(file.path);
  const first = await upload(api, file, { parentId: rootId, name, signal });
  const speed = `${duration(first.ms)}, ${rate(file.sizeBytes, first.ms)}`;
  say('upload', `${speed}; ${first.chunks} chunks by tus, ${first.events} events by WebSocket, ${first.route}`);

  const again = await upload(api, file, { parentId: rootId, name, announceHash: true, signal });
  say('again', `${duration(again.ms)}; ${again.chunks} chunks, as the drive has these bytes: ${again.route}`);
  return first.entryId;
}

interface Listed {
  readonly name: string;
  readonly size: number | null;
}

async function find(api: Api, file: LocalFile, drive: Drive, signal: AbortSignal): Promise<void> {
  const name = basename(file.path);
  const { node } = await api.query<{ node: { children: { nodes: Listed[] } } }>(
    'query ($id: ID!) { node(id: $id) { ... on Folder { children(first: 20) { nodes { name size } } } } }',
    { id: drive.rootId },
    signal,
  );
  const listed = node.children.nodes;
  say('list', listed.map((entry) => `${entry.name} (${bytes(entry.size ?? 0)})`).join(', '));

  const { search } = await api.query<{ search: { nodes: { name: string; path: string | null }[] } }>(
    'query ($query: String!) { search(query: $query) { nodes { name path } } }',
    { query: name },
    signal,
  );
  const hits = search.nodes.map(({ path, name }) => path ?? name);
  say('search', `"${name}" is at ${hits.join(', ')}`);
  if (hits.length === 0) throw new Error('The search does not find the file.');
}

async function takeOut(api: Api, entryId: string, signal: AbortSignal): Promise<Record<string, Downloaded>> {
  const file = { id: entryId };
  const { ticket, allowance } = await api.mutate<{
    ticket: { url: string; expiresAt: string };
    allowance: { remaining: number; limit: number };
  }>('createDownloadTicket', { file }, 'ticket { url expiresAt } allowance { remaining limit }', signal);
  say(
    'ticket',
    `${short(ticket.url)}, until ${clock(ticket.expiresAt)}; ${allowance.remaining} of ${allowance.limit} left`,
  );
  const byTicket = await download('download', ticket.url, signal);
  say('download', `${bytes(byTicket.sizeBytes)} in ${duration(byTicket.ms)}, ${rate(byTicket.sizeBytes, byTicket.ms)}`);

  const { link } = await api.mutate<{ link: { url: string; expiresAt: string } }>(
    'createDirectLink',
    { file },
    'link { url expiresAt }',
    signal,
  );
  say('link', `${short(link.url)}, until ${clock(link.expiresAt)}`);
  const byLink = await download('download', link.url, signal);
  say('download', `${bytes(byLink.sizeBytes)} in ${duration(byLink.ms)}, ${rate(byLink.sizeBytes, byLink.ms)}`);
  return { 'by ticket': byTicket, 'by link': byLink };
}

function compare(file: LocalFile, copies: Record<string, Downloaded>): void {
  say('sha-256', `${file.sha256}  the file`);
  const others = Object.entries(copies).filter(([, { sha256 }]) => sha256 !== file.sha256);
  for (const [how, { sha256 }] of Object.entries(copies)) {
    say('', `${sha256}  ${how}: ${sha256 === file.sha256 ? 'equal' : 'DIFFERENT'}`);
  }
  if (others.length > 0)
    throw new Error(`The bytes that came ${others.map(([how]) => how).join(' and ')} are not those of the file.`);
}

/** What the processes took at most: it does not grow with the file. */
async function sayMemory({ pid }: ServerProcess): Promise<void> {
  const peaks = await Promise.all([peakBytes(pid), peakBytes(process.pid)]);
  const [server, demo] = peaks;
  if (server && demo) say('memory', `at most ${bytes(server)} in the server, ${bytes(demo)} here`);
}

/** Linux alone tells. */
async function peakBytes(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

async function stay(server: ServerProcess, api: Api, signal: AbortSignal): Promise<void> {
  process.stdout.write(
    `\nGraphiQL   ${server.url}/graphql\nHeaders    {"Authorization": "Bearer ${api.token}"}\n\nCtrl-C ends the server and removes its data.\n`,
  );
  const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  await Promise.race([stopped, server.ended]);
}

const clock = (time: string): string => new Date(time).toLocaleTimeString('en-GB');

const SHORT_CHARACTERS = 64;

/** The rest is a secret, and long. */
const short = (url: string): string => (url.length > SHORT_CHARACTERS ? `${url.slice(0, SHORT_CHARACTERS)}…` : url);
