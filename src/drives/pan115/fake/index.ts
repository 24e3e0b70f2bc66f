import { Faults } from '../../shared/faults.ts';
import { accountEndpoints } from './account.ts';
import { Downloads } from './download.ts';
import type { Fault } from './faults.ts';
import { fileEndpoints } from './files.ts';
import { manageEndpoints, recycle } from './manage.ts';
import type { App, DeviceFlow } from './oauth.ts';
import { OAuth } from './oauth.ts';
import { hashOf, offlineEndpoints, progress } from './offline.ts';
import { Oss } from './oss.ts';
import { Servers } from './server.ts';
import type { Settings } from './settings.ts';
import { DEFAULTS } from './settings.ts';
import { Uploads } from './upload.ts';
import { videoEndpoints } from './video.ts';
import type { Role } from './wire.ts';
import type { Entry, SeedOptions, User, UserOptions } from './world.ts';
import { above, attach, below, detach, World } from './world.ts';

export interface Pan115FakeOptions {
  readonly app?: Partial<App>;
  readonly settings?: Partial<Settings>;
  /** Milliseconds since 1970, by which everything runs out; the real time by default. */
  readonly now?: () => number;
  /** For what the service leaves to chance. */
  readonly seed?: number;
}

export type Pan115Fake = Awaited<ReturnType<typeof startPan115Fake>>;

/**
 * An imitation of the wire of 115's open platform and its storage, as their documents tell it and no more forgiving: one
 * server on loopback for each kind of host. Whatever a client does that the documents forbid stands in `violations`.
 */
export async function startPan115Fake(options: Pan115FakeOptions = {}) {
  const settings: Settings = { ...DEFAULTS, ...options.settings };
  const world = new World({ settings, now: options.now ?? Date.now, seed: options.seed ?? 1 });
  const app: App = {
    clientId: '100115115',
    clientSecret: 'fake-app-secret',
    redirectHosts: ['127.0.0.1', 'localhost'],
    ...options.app,
  };
  const oauth = new OAuth(world, app);
  const uploads = new Uploads(world);
  const oss = new Oss(world, uploads);
  const downloads = new Downloads(world);
  const faults = new Faults<Fault>();
  const endpoints = [
    ...oauth.endpoints(),
    ...accountEndpoints(world),
    ...fileEndpoints(world),
    ...manageEndpoints(world),
    ...downloads.endpoints(),
    ...uploads.endpoints(),
    ...videoEndpoints(world),
    ...offlineEndpoints(world),
  ];
  const servers = new Servers({ world, oauth, oss, faults, endpoints });
  world.urls = await servers.listen();
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
    grant: (user: User) => oauth.grant(user),
    /** Who is signed in in the browser from now on. */
    setVisitor: (user: User | null): void => {
      oauth.visitor = user;
    },
    get refreshes(): number {
      return oauth.refreshes;
    },
    expireTokens: (user?: User) => oauth.expireTokens(user),
    revoke: (user: User) => oauth.revoke(user),
    /** The next refresh spends its token, and the answer never arrives. */
    loseNextRefreshAnswer: () => faults.inject({ match: { endpoint: 'refreshToken' }, kind: 'cut', phase: 'after' }),
    devices: deviceControls(oauth),

    seedFolder: (user: User, path: string): Entry => world.folder(user, path),
    /** A file of these bytes, or of so many made-up ones; another of that name stays. */
    seedFile: (user: User, path: string, content: Buffer | string | number, more: SeedOptions = {}): Entry => {
      const bytes = typeof content === 'number' ? madeBytes(content) : Buffer.from(content);
      const cut = path.lastIndexOf('/');
      const made = { ...world.newEntry(path.slice(cut + 1), world.keep([bytes]), more), visibleAtMs: 0, listedAtMs: 0 };
      attach(made, world.folder(user, path.slice(0, cut)));
      return made;
    },
    /** The first entry at a path. */
    entryAt: (user: User, path: string): Entry | null => world.find(user, path),
    bytesAt: (user: User, path: string): Buffer | null => {
      const content = world.find(user, path)?.content;
      return content ? Buffer.concat(content.chunks) : null;
    },
    /** All paths of a user, sorted. */
    paths: (user: User): string[] =>
      [...below(user.root)]
        .map((entry) => `/${[...above(entry).slice(1), entry].map(({ name }) => name).join('/')}`)
        .toSorted(),
    /** Deletes as another application would. */
    removeEntry: (user: User, path: string): void => {
      const entry = world.find(user, path);
      if (entry) recycle(world, user, entry);
    },
    /** As if it had never been. */
    destroyEntry: (entry: Entry): void => detach(entry),
    recycled: (user: User): string[] => user.recycled.map(({ entry }) => entry.name),

    /** Uploads that the storage waits for. */
    unfinishedUploads: () => oss.uploads.length,
    forgetUploads: () => oss.forget(),
    expireCredentials: () => uploads.expireCredentials(),
    expireLinks: () => downloads.expire(),
    /** How the next files end: `refused` by the service, or it `failed` to answer the storage in time. */
    callbacks: oss.callbacks,
    get partsReceived(): number {
      return oss.partsReceived;
    },

    offlineHash: hashOf,
    offlineProgress: (user: User, hash: string, percent: number, failed?: boolean) =>
      progress(world, user, hash, percent, failed),

    close: () => servers.close(),
    [Symbol.asyncDispose]: () => servers.close(),
  };
}

/** What the person does whose code it is; the newest one unless another is named. */
function deviceControls(oauth: OAuth) {
  const flow = (uid?: string): DeviceFlow => {
    const found = uid === undefined ? oauth.devices.at(-1) : oauth.devices.find((one) => one.uid === uid);
    if (!found) throw new Error('There is no such code.');
    return found;
  };
  return {
    all: oauth.devices as readonly DeviceFlow[],
    scan: (uid?: string): void => oauth.setDevice(flow(uid), 'scanned', null),
    approve: (user: User, uid?: string): void => oauth.setDevice(flow(uid), 'approved', user),
    cancel: (uid?: string): void => oauth.setDevice(flow(uid), 'cancelled', null),
  };
}

/** Each is a function of its place, so that a wrong range shows. */
function madeBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (at ^ Math.floor(at / 251) ^ Math.floor(at / 65_536)) & 0xff;
  return bytes;
}
