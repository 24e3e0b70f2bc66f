import { Faults, type InjectedFault } from '../../shared/faults.ts';
import { accountEndpoints } from './account.ts';
import { downloadEndpoints } from './download.ts';
import type { Fault } from './faults.ts';
import { listEndpoints } from './lists.ts';
import { manageEndpoints, recycle } from './manage.ts';
import { metaEndpoints } from './metas.ts';
import type { App, DeviceFlow } from './oauth.ts';
import { OAuth } from './oauth.ts';
import { playlistEndpoints } from './playlists.ts';
import { recycleEndpoints } from './recycling.ts';
import { searchEndpoints } from './search.ts';
import { Servers } from './server.ts';
import type { Settings } from './settings.ts';
import { DEFAULTS } from './settings.ts';
import { Shares } from './share.ts';
import { streamingEndpoints } from './streaming.ts';
import type { Entry } from './tree.ts';
import { attach, baseName, below, parentPath, pathOf } from './tree.ts';
import { Uploads } from './upload.ts';
import type { Role } from './wire.ts';
import type { SeedOptions, User, UserOptions } from './world.ts';
import { World } from './world.ts';

export interface BaiduFakeOptions {
  readonly app?: Partial<App>;
  readonly settings?: Partial<Settings>;
  /** Milliseconds since 1970, by which everything runs out; the real time by default. */
  readonly now?: () => number;
  /** For what the service leaves to chance: order, extra keys, labels. */
  readonly seed?: number;
  /** `digests` forgets uploaded bytes, so that they can be checked but not downloaded. */
  readonly keep?: 'bytes' | 'digests';
}

export type BaiduFake = Awaited<ReturnType<typeof startBaiduFake>>;

/**
 * An imitation of the wire of Baidu Netdisk, as its documents tell it and no more forgiving: one server on loopback for
 * each kind of host. Whatever a client does that the documents forbid stands in `violations`.
 */
export async function startBaiduFake(options: BaiduFakeOptions = {}) {
  const settings: Settings = { ...DEFAULTS, ...options.settings };
  const world = new World({
    settings,
    now: options.now ?? Date.now,
    seed: options.seed ?? 1,
    keep: options.keep ?? 'bytes',
  });
  const app: App = {
    clientId: 'fake-app-key',
    clientSecret: 'fake-secret-key',
    appId: '31415926',
    redirectUris: ['http://127.0.0.1/callback'],
    ...options.app,
  };
  const oauth = new OAuth(world, app);
  const uploads = new Uploads(world);
  const shares = new Shares(world, app.appId);
  const faults = new Faults<Fault>();
  const endpoints = [
    ...oauth.endpoints(),
    ...accountEndpoints(world),
    ...listEndpoints(world),
    ...metaEndpoints(world),
    ...manageEndpoints(world),
    ...uploads.endpoints(),
    ...downloadEndpoints(world),
    ...searchEndpoints(world),
    ...streamingEndpoints(world),
    ...playlistEndpoints(world),
    ...recycleEndpoints(world),
    ...shares.endpoints(),
  ];
  const servers = new Servers({ world, oauth, faults, endpoints });
  world.urls = await servers.listen();
  const close = async (): Promise<void> => {
    await servers.close();
    world.contents.close();
  };
  return {
    app,
    settings,
    /** The host overrides for a client. */
    urls: world.urls as Readonly<Record<Role, string>>,
    clock: { now: () => new Date(world.nowMs), advance: (milliseconds: number) => world.advance(milliseconds) },
    /** Every request since the start, oldest first. */
    requests: servers.requests,
    /** In words, what the client did that the documents forbid. */
    violations: world.violations,
    faults,
    users: world.users,
    count: (endpoint: string) => servers.requests.filter((request) => request.endpoint === endpoint).length,
    peak: (endpoint: string) => servers.peak(endpoint),

    createUser: (user: UserOptions = {}): User => world.createUser(user),
    grant: (user: User, scope?: string) => oauth.grant(user, scope),
    issueCode: (user: User, redirectUri: string) => oauth.issueCode(user, redirectUri),
    /** Who confirms the browser flow from now on; null refuses. */
    setVisitor: (user: User | null): void => {
      oauth.visitor = user;
    },
    get refreshes(): number {
      return oauth.refreshes;
    },
    isRefreshable: (refreshToken: string) => oauth.isRefreshable(refreshToken),
    expireTokens: (user?: User) => oauth.expireTokens(user),
    revoke: (user: User) => oauth.revoke(user),
    /** The next refresh spends its token, and the answer never arrives. */
    loseNextRefreshAnswer: (): InjectedFault =>
      faults.inject({ match: { endpoint: 'refresh' }, kind: 'cut', phase: 'after' } satisfies Fault),
    devices: deviceControls(oauth),

    seedFolder: (user: User, path: string): Entry => {
      const directory = world.ensureDirectory(user, path);
      if (!directory) throw new Error(`A file is in the way of ${path}.`);
      return directory;
    },
    /** A file of these bytes, or of so many made-up ones; replaces what is there. */
    seedFile: (user: User, path: string, content: Buffer | string | number, more: SeedOptions = {}): Entry => {
      const { contents } = world;
      const stored =
        typeof content === 'number' ? contents.made(content) : contents.join([contents.slice(Buffer.from(content))]);
      const entry = world.newEntry(baseName(path), stored, more);
      const parent = world.ensureDirectory(user, parentPath(path));
      if (!parent) throw new Error(`A file is in the way of ${path}.`);
      attach(entry, parent, entry.name);
      return entry;
    },
    entryAt: (user: User, path: string): Entry | null => world.find(user, path),
    /** The bytes of a file, or null where there is none. */
    bytesAt: (user: User, path: string): Buffer | null => {
      const content = world.find(user, path)?.content;
      return content ? Buffer.concat([...world.contents.read(content)]) : null;
    },
    /** The MD5 of a whole file and of its slices. */
    digestsAt: (user: User, path: string) => {
      const content = world.find(user, path)?.content;
      return content ? { size: content.size, md5: content.md5, blockMd5s: content.blockMd5s } : null;
    },
    /** All paths of a user, sorted. */
    paths: (user: User): string[] => [...below(user.root)].map(pathOf).toSorted(),
    /** Deletes as another application would. */
    removeEntry: (user: User, path: string): void => {
      const entry = world.find(user, path);
      if (entry) recycle(world, user, entry);
    },
    recycled: (user: User): string[] => user.recycled.map(({ path }) => path),

    shares: shares.all,
    seedPlaylist: (user: User, name: string, files: readonly Entry[]): string => {
      const id = String(5000 + world.serial());
      user.playlists.push({ id, name, ctime: world.now, files });
      return id;
    },

    unfinishedUploads: () => uploads.unfinished(),
    forgetUploads: () => uploads.forget(),
    purgeSlices: () => uploads.purgeSlices(),
    get slicesReceived(): number {
      return uploads.slicesReceived;
    },

    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What the person does whose device code it is; the newest flow unless a user code is given. */
function deviceControls(oauth: OAuth) {
  const flow = (userCode?: string): DeviceFlow => {
    const found =
      userCode === undefined ? oauth.devices.at(-1) : oauth.devices.find((one) => one.userCode === userCode);
    if (!found) throw new Error('There is no such device flow.');
    return found;
  };
  return {
    all: oauth.devices as readonly DeviceFlow[],
    scan: (userCode?: string): void => {
      flow(userCode).state = 'scanned';
    },
    approve: (user: User, userCode?: string): void => {
      Object.assign(flow(userCode), { state: 'approved', user });
    },
    deny: (userCode?: string): void => {
      flow(userCode).state = 'declined';
    },
  };
}
