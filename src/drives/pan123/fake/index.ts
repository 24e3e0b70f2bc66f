import { Faults } from '../../shared/faults.ts';
import { accountEndpoints } from './account.ts';
import { type App, Auth } from './auth.ts';
import { directLinkEndpoints } from './direct-links.ts';
import { downloadEndpoints } from './download.ts';
import type { Fault } from './faults.ts';
import { listEndpoints } from './lists.ts';
import { manageEndpoints } from './manage.ts';
import { offlineEndpoints } from './offline.ts';
import { RateGates } from './rates.ts';
import { Servers } from './server.ts';
import { DEFAULTS, type Settings } from './settings.ts';
import { shareEndpoints } from './shares.ts';
import { transcodeEndpoints } from './transcode.ts';
import { type Entry, inBin } from './tree.ts';
import { Uploads } from './upload.ts';
import { uploadV1Endpoints } from './upload-v1.ts';
import type { Role } from './wire.ts';
import { type User, type UserOptions, World } from './world.ts';

export interface Pan123FakeOptions {
  readonly app?: Partial<App>;
  readonly settings?: Partial<Settings>;
  /** Milliseconds since 1970, by which everything runs out; the real time by default. */
  readonly now?: () => number;
  /** The clock that requests are counted by, in milliseconds; the real one by default. */
  readonly rateNowMs?: () => number;
}

export type Pan123Fake = Awaited<ReturnType<typeof startPan123Fake>>;
export type Pan123User = User;

/**
 * An imitation of the wire of 123pan's open platform, as its documents tell it and no more forgiving: one server on
 * loopback for each kind of host. Whatever a client does that the documents forbid stands in `violations`.
 */
export async function startPan123Fake(options: Pan123FakeOptions = {}) {
  const settings: Settings = { ...DEFAULTS, ...options.settings };
  const world = new World({ settings, now: options.now ?? Date.now });
  const app: App = {
    clientId: 'fake-123-app',
    clientSecret: 'fake-123-secret',
    redirectUris: ['http://127.0.0.1/callback'],
    ...options.app,
  };
  const auth = new Auth(world, app);
  const uploads = new Uploads(world);
  const faults = new Faults<Fault>();
  const downloads = downloadEndpoints(world);
  const shares = shareEndpoints(world);
  const offline = offlineEndpoints(world);
  const directLinks = directLinkEndpoints(world, downloads.linkTo);
  const transcoding = transcodeEndpoints(world, downloads.linkTo);
  const endpoints = [
    ...auth.endpoints(),
    ...accountEndpoints(world),
    ...listEndpoints(world),
    ...manageEndpoints(world),
    ...uploads.endpoints(),
    ...uploadV1Endpoints(world, uploads),
    ...downloads.endpoints,
    ...shares.endpoints,
    ...offline.endpoints,
    ...directLinks.endpoints,
    ...transcoding.endpoints,
  ];
  const gates = new RateGates(options.rateNowMs ?? (() => performance.now()));
  const servers = new Servers({ world, auth, faults, gates, endpoints });
  world.urls = await servers.listen();
  const close = (): Promise<void> => servers.close();
  const at = (user: User, path: string): Entry | null =>
    segmentsOf(path).reduce<Entry | null>((entry, name) => entry && user.tree.named(entry, name), user.tree.root);
  const seedFolder = (user: User, path: string): Entry =>
    segmentsOf(path).reduce<Entry>(
      (parent, name) => user.tree.named(parent, name) ?? world.place(user, parent, name, null),
      user.tree.root,
    );
  return {
    app,
    settings,
    /** The host overrides for a client: `api` is all that it needs to know. */
    urls: world.urls as Readonly<Record<Role, string>>,
    advance: (milliseconds: number) => world.advance(milliseconds),
    /** Every request since the start, oldest first. */
    requests: servers.requests,
    /** In words, what the client did that the documents forbid. */
    violations: world.violations,
    faults,
    users: world.users,
    count: (path: string) => servers.requests.filter((request) => request.path === path).length,
    /** Requests that were refused because they came too fast; not those that a fault refused. */
    get throttled(): number {
      return servers.throttled;
    },

    createUser: (user: UserOptions = {}): User => world.createUser(user),
    developerToken: (user: User) => auth.developerToken(user),
    oauthTokens: (user: User) => auth.oauthTokens(user),
    /** What the consent page gives when the person agrees. */
    issueCode: (user: User, redirectUri: string) => auth.issueCode(user, redirectUri),
    expireTokens: (user: User) => auth.expire(user),
    revoke: (user: User) => auth.revoke(user),
    restore: (user: User) => auth.restore(user),
    get logins(): number {
      return auth.logins;
    },
    get refreshes(): number {
      return auth.refreshes;
    },

    seedFolder,
    seedFile: (user: User, path: string, content: Buffer | string | number): Entry => {
      const names = segmentsOf(path);
      const parent = seedFolder(user, names.slice(0, -1).join('/'));
      const bytes = typeof content === 'number' ? madeUp(content) : Buffer.from(content);
      return world.place(user, parent, names.at(-1) ?? '', world.keep(bytes));
    },
    /** An empty folder, without looking for one of that name. */
    newFolder: (user: User, parent: Entry, name: string): Entry => world.place(user, parent, name, null),
    entryAt: at,
    bytesAt: (user: User, path: string): Buffer | null => at(user, path)?.content?.bytes ?? null,
    /** All live paths of a user, sorted. */
    paths: (user: User): string[] =>
      user.tree
        .all()
        .filter((entry) => !entry.transcode && !inBin(entry))
        .map(pathOf)
        .toSorted(),
    recycled: (user: User): string[] =>
      user.tree
        .all()
        .filter(({ trashed }) => trashed)
        .map(({ name }) => name),
    /** Deletes as another program would. */
    removeEntry: (entry: Entry): void => {
      entry.trashed = true;
    },
    shares: shares.shares,
    offlineTasks: offline.tasks,
    /** As its person does at 123pan, for the files below the folder. */
    enableDirectLinks: directLinks.enable,
    transcoding,
    forgetUploads: () => uploads.forget(),
    /** Loses a slice, counted from 1, or replaces its bytes. */
    damageSlice: (number: number, bytes: Buffer | null = null) => uploads.damage(number, bytes),
    get slicesReceived(): number {
      return uploads.slicesReceived;
    },

    close,
    [Symbol.asyncDispose]: close,
  };
}

const segmentsOf = (path: string): string[] => path.split('/').filter((name) => name !== '');

const pathOf = (entry: Entry): string => (entry.parent ? `${pathOf(entry.parent)}/${entry.name}` : '');

/** Bytes that compress as little as a film, and are the same for the same length. */
const madeUp = (length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, at) => (at * 7 + (at >> 8) * 13) & 255));
