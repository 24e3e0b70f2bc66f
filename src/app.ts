import { hkdfSync, randomInt } from 'node:crypto';
import type { Server } from 'node:http';
import { join } from 'node:path';
import type { BlobStoreConfig, Config } from './config.ts';
import type { CloudServices } from './drives/cloud.ts';
import type { DriveDefinition } from './drives/driver.ts';
import { type DriveNotice, Places } from './drives/layers/announce.ts';
import { sweepLocalDrives } from './drives/local/sweep.ts';
import { ReadCache } from './drives/read-cache.ts';
import type { DriveServices } from './drives/registry.ts';
import type { EventBus } from './events/bus.ts';
import { openEventBus } from './events/open.ts';
import type { Topics } from './events/topics.ts';
import { type Clock, systemClock } from './lib/clock.ts';
import { newId } from './lib/ids.ts';
import type { Logger } from './lib/log.ts';
import { Secret } from './lib/secret.ts';
import { systemTimer, type Timer } from './lib/timer.ts';
import { createContentRoute } from './server/content.ts';
import { createDirectLinkRoute } from './server/direct-link.ts';
import { createFactsReader } from './server/facts.ts';
import type { Yoga } from './server/graphql.ts';
import { createLinkCallbackRoute } from './server/link-callback.ts';
import { createMediaRoute } from './server/media.ts';
import { createMetrics } from './server/metrics.ts';
import { createOrigin } from './server/origin.ts';
import { createServing, type ServerTuning, type Serving } from './server/serve.ts';
import { createUploadRoutes } from './server/uploads.ts';
import { AccountWatch } from './services/account-watch.ts';
import { Accounts } from './services/accounts.ts';
import { DownloadAllowances } from './services/allowance.ts';
import { Audit } from './services/audit.ts';
import { Batches } from './services/batches.ts';
import { Changes } from './services/changes.ts';
import { Copies } from './services/copies.ts';
import { CopyPlans } from './services/copy-plans.ts';
import { DirectLinks } from './services/direct-links.ts';
import { Downloads } from './services/downloads.ts';
import { Drives } from './services/drives.ts';
import { Editing } from './services/editing.ts';
import { Entries } from './services/entries.ts';
import { Housekeeping } from './services/housekeeping.ts';
import { Idempotency } from './services/idempotency.ts';
import { createIdentity } from './services/identity/identity.ts';
import type { PasswordCost } from './services/identity/passwords.ts';
import { Intake } from './services/intake.ts';
import { LinkKeys } from './services/link-keys.ts';
import { LinkSaving } from './services/link-saving.ts';
import { LinkTokens } from './services/link-tokens.ts';
import { Authorizations } from './services/linking/authorizations.ts';
import { CredentialLinks } from './services/linking/credential-links.ts';
import { DeviceLinks } from './services/linking/device-links.ts';
import { AccountLinker } from './services/linking/linker.ts';
import { Links } from './services/links.ts';
import { createMailer } from './services/mail.ts';
import { Media } from './services/media.ts';
import { MediaLists } from './services/media-lists.ts';
import { Notices } from './services/notices.ts';
import { OfflineFollower } from './services/offline/follower.ts';
import { OfflineLists } from './services/offline/lists.ts';
import { OfflineRecords } from './services/offline/records.ts';
import { OfflineStarter } from './services/offline/starter.ts';
import { OfflineSync } from './services/offline/sync.ts';
import { OfflineTasks } from './services/offline/tasks.ts';
import { OfflineTorrents } from './services/offline/torrents.ts';
import { Playlists } from './services/playlists.ts';
import { SealedAddresses } from './services/sealed-addresses.ts';
import { Search } from './services/search.ts';
import { Health, type Services } from './services/services.ts';
import { ShareLists } from './services/share-lists.ts';
import { ShareRecords } from './services/share-records.ts';
import { Shares } from './services/shares.ts';
import { Comparisons } from './services/snapshots/comparisons.ts';
import { Throttle } from './services/throttle.ts';
import { Transfers } from './services/transfers.ts';
import { UploadPlanner } from './services/upload-planner.ts';
import { Uploads } from './services/uploads.ts';
import { VaultKeys } from './services/vault-keys.ts';
import type { ObjectStore } from './storage/blobs/remote.ts';
import { BlobStore } from './storage/blobs/store.ts';
import { openStorage, type Storage } from './storage/orm.ts';
import { createPostgresState, sweepSharedStates } from './storage/shared-state.ts';
import { fileSource } from './transfers/file-source.ts';
import { linkSource } from './transfers/link-source.ts';
import { openTransfers } from './transfers/open.ts';
import { ServerFiles } from './transfers/server-files.ts';
import { urlSource } from './transfers/url-source.ts';
import { createGuard } from './transport/guard.ts';
import { createOutbound } from './transport/outbound.ts';
import { openRedisState } from './transport/redis-state.ts';
import { createRemoteFiles } from './transport/remote-file.ts';
import { SharedLimiter } from './transport/shared-limiter.ts';
import { TurnLedger } from './transport/turn-ledger.ts';
import { Cipher } from './vault/cipher.ts';
import { type KeyRing, loadKeyRings } from './vault/keyring.ts';
import { AccountTokens } from './vault/tokens.ts';
import { Vault } from './vault/vault.ts';

/** What a test may replace. */
export interface AppOverrides {
  readonly clock?: Clock;
  readonly onQuery?: (sql: string) => void;
  /** Tighter limits towards clients. */
  readonly server?: ServerTuning;
  /** What drivers wait by, between looks at a provider's work. */
  readonly driveTimer?: Timer;
  /** What requests to providers wait by, between tries and for their turn. */
  readonly requestWaits?: Timer;
  /** What a search waits for its accounts by. */
  readonly searchTimer?: Timer;
  /** The kinds of drive, in place of the registry's. */
  readonly drives?: readonly DriveDefinition<DriveServices>[];
  /** What a password hash costs; the real one takes most of a test's time. */
  readonly passwordCost?: PasswordCost;
}

export interface App {
  readonly config: Config;
  readonly storage: Storage;
  readonly events: EventBus;
  readonly services: Services;
  readonly yoga: Yoga;
  readonly server: Server;
  /** Takes nothing new and lets what runs end; {@link close} comes after it. */
  readonly drain: Serving['drain'];
  /** Closes everything, in the reverse order of opening. */
  close(): Promise<void>;
}

/** The composition root: what is made of what. Nothing listens yet. */
export async function createApp(config: Config, log: Logger, overrides: AppOverrides = {}): Promise<App> {
  const clock = overrides.clock ?? systemClock;
  const [jwtKeys, vaultKeys] = loadKeyRings(
    { ...config, name: 'JWT_KEYS', configured: config.jwtKeys },
    { ...config, name: 'VAULT_KEYS', configured: config.vaultKeys },
  );
  const objects = config.blobStore && (await openObjects(config.blobStore, log));
  const storage = await openStorage({
    url: config.databaseUrl,
    log,
    ...(overrides.onQuery ? { onQuery: overrides.onQuery } : {}),
  });
  const events = await openEventBus({ ...config, log });
  const origin = createOrigin(config.publicUrl, config.host, () => server);
  const links = new Links(origin);
  const metrics = createMetrics();
  const audit = new Audit(storage, clock);
  const throttle = new Throttle({ clock, log, redisUrl: config.redisUrl });
  await throttle.ready;
  const mailer = createMailer({ ...config, from: config.mailFrom, clock, log });
  const identity = await createIdentity({
    ...config,
    storage,
    clock,
    log,
    events,
    audit,
    throttle,
    mailer,
    keys: jwtKeys,
    passwordCost: overrides.passwordCost,
  });
  const blobs = new BlobStore(join(config.dataDir, 'blobs'), storage, clock, objects && { objects, log });
  const announce = (event: Topics['entry.changed']) => void events.publish('entry.changed', event);
  const cipher = new Cipher(vaultKeys);
  const vault = new Vault(cipher);
  const turns = await openTurnLedger(config, log);
  const guard = createGuard({ allowCidrs: config.outboundAllowCidrs });
  const outbound = createOutbound({
    log,
    clock,
    guard,
    ...(overrides.requestWaits ? { waits: overrides.requestWaits } : {}),
    ...(turns
      ? {
          createLimiter: (accountId, rates) =>
            new SharedLimiter({ accountId, rates, ledger: turns, timer: systemTimer }),
        }
      : {}),
  });
  const tokenParts = { storage, vault, events, clock, log, timer: systemTimer, owner: newId() };
  const driveServices: DriveServices & CloudServices = {
    ...config,
    storage,
    blobs,
    clock,
    announce,
    outbound,
    timer: overrides.driveTimer ?? systemTimer,
    tokensOf: (account) => new AccountTokens(tokenParts, account, drives.renewalOf(account.provider)),
  };
  const reads = new ReadCache({
    now: () => clock.now(),
    nowMs: () => systemTimer.nowMs(),
    onWrite: (accountId) => void events.publish('account.written', { accountId }),
  });
  for (const topic of ['account.written', 'account.changed', 'offlineTask.changed'] as const) {
    events.on(topic, ({ accountId }) => reads.forget(accountId));
  }
  const places = new Places();
  const changed = ({ provider: _, ...notice }: DriveNotice) => announce({ ...notice, at: clock.now().toISOString() });
  const sinks = { metrics: metrics.driveCalled, reads, changes: { announce: changed, places } };
  const drives = new Drives(driveServices, sinks, overrides.drives);
  const accounts = new Accounts({ storage, drives, events, clock });
  const linker = new AccountLinker({ storage, vault, drives, accounts, events, audit, clock, log });
  const deviceLinks = new DeviceLinks({ storage, vault, linker, events, clock, log });
  const authorizations = new Authorizations({ storage, vault, linker, links, clock });
  const credentialLinks = new CredentialLinks({ linker, accounts, drives, clock });
  const entries = new Entries(accounts, config.listCacheMs);
  const idempotency = new Idempotency({ storage, clock, timer: systemTimer });
  if (storage.dialect === 'sqlite') await idempotency.releaseAll();
  const search = new Search({ accounts, log, timer: overrides.searchTimer ?? systemTimer });
  const comparisons = new Comparisons({ storage, events, clock, timer: systemTimer, log });
  const addresses = new SealedAddresses(vault);
  const serverFiles = new ServerFiles(config.importDirs);
  const watch = new AccountWatch(accounts, events);
  const changes = new Changes({ accounts, entries, watch, clock, comparisons });
  const works = await openTransfers({
    ...config,
    storage,
    events,
    clock,
    log,
    openDrive: async (userId, accountId) => (await accounts.openForUser(userId, accountId)).driver,
    sources: {
      url: urlSource({
        remoteFiles: createRemoteFiles(outbound),
        addressOf: (transfer) => addresses.open(transfer),
        bytesMax: config.fetchBytesMax,
        timeMaxMs: config.fetchMaxMs,
      }),
      file: fileSource({ serverFiles, mayImport: (userId) => identity.users.isAdmin(userId) }),
      link: linkSource({ openLink: (linkId, signal) => linkSaving.openForJob(linkId, signal) }),
    },
  });
  const transfers = new Transfers({ ...config, storage, clock, works });
  const copies = new Copies({ works, clock });
  const copyPlans = new CopyPlans({ entries, log });
  const editing = new Editing({ accounts, entries, idempotency, transfers, copies, clock, log });
  const tokenKey = uploadTokenKey(jwtKeys);
  const planner = new UploadPlanner({ works, transfers, entries, idempotency });
  const uploads = new Uploads({ ...config, clock, works, transfers, planner, tokenKey });
  const { urlFault } = guard;
  const intake = new Intake({ clock, works, transfers, planner, addresses, audit, serverFiles, urlFault });
  const batches = new Batches({ storage, clock, log, transfers, uploads, intake, idempotency });
  const allowances = new DownloadAllowances({
    storage,
    clock,
    audit,
    defaultLimit: config.downloadLimit,
    timeZone: config.downloadLimitTimeZone,
  });
  const downloads = new Downloads({ storage, clock, accounts, entries, allowances });
  const directLinks = new DirectLinks({
    storage,
    clock,
    accounts,
    entries,
    allowances,
    audit,
    tokens: new LinkTokens(jwtKeys, clock),
    keys: new LinkKeys(identity.hasher, throttle),
  });
  const savingParts = { directLinks, entries, transfers, idempotency, audit, intake, links, planner, works, clock };
  const linkSaving = new LinkSaving(savingParts);
  const shareRecords = new ShareRecords({ storage, vault, clock });
  const shareLists = new ShareLists({ accounts, records: shareRecords });
  const shares = new Shares({
    storage,
    accounts,
    entries,
    lists: shareLists,
    records: shareRecords,
    idempotency,
    audit,
  });
  const offlineRecords = new OfflineRecords({ storage, vault, clock });
  const offlineParts = {
    ...{ storage, accounts, entries, idempotency, audit, watch, events, clock, log, records: offlineRecords },
    sync: new OfflineSync({ records: offlineRecords, events, clock, log }),
  };
  const offlineLists = new OfflineLists(offlineParts);
  const offlineFollower = new OfflineFollower(offlineParts);
  const offlineStarter = new OfflineStarter({ ...offlineParts, lists: offlineLists, follower: offlineFollower });
  const offlineDoings = { ...offlineParts, lists: offlineLists, follower: offlineFollower, starter: offlineStarter };
  const offlineTasks = new OfflineTasks(offlineDoings);
  const offlineTorrents = new OfflineTorrents(offlineDoings);
  const housekeeping = new Housekeeping(
    {
      identity: () => identity.sweep(),
      idempotency: () => idempotency.sweep(),
      allowances: () => allowances.sweep(),
      downloads: () => downloads.sweep(),
      directLinks: () => directLinks.sweep(),
      shares: () => shareRecords.sweep(),
      offlineTasks: () => offlineRecords.sweep(),
      offlineFollows: () => offlineFollower.sweep(),
      transfers: () => works.sweep(),
      localDrives: () => sweepLocalDrives({ storage, blobs, clock }),
      deviceLinks: () => deviceLinks.sweep(),
      authorizations: () => authorizations.sweep(),
      sharedStates: () => sweepSharedStates(storage),
    },
    log,
  );
  housekeeping.start();
  works.start();
  deviceLinks.start();
  offlineFollower.start();
  const playlists = new Playlists({ storage, cipher, accounts, clock });
  const services: Services = {
    health: new Health({ storage, blobs }),
    links,
    identity,
    audit,
    throttle,
    drives,
    accounts,
    deviceLinks,
    authorizations,
    credentialLinks,
    entries,
    editing,
    copyPlans,
    search,
    changes,
    idempotency,
    allowances,
    downloads,
    directLinks,
    linkSaving,
    shares,
    shareLists,
    media: new Media({ accounts, entries, playlists, links, allowances }),
    mediaLists: new MediaLists(accounts),
    playlists,
    offlineTasks,
    offlineTorrents,
    offlineLists,
    offlineFollower,
    transfers,
    uploads,
    intake,
    batches,
    vaultKeys: new VaultKeys({ storage, vault, audit, log }),
    notices: new Notices(events, audit, clock),
  };
  const serving = createServing({
    config,
    services,
    clock,
    log,
    metrics,
    origin,
    onRevoked: (listener) => void events.on('grant.revoked', listener),
    routes: [
      createContentRoute({ downloads, clock, log }),
      createMediaRoute({ playlists, clock, log }),
      ...createUploadRoutes({ uploads, links, clock, clientOf: createFactsReader({ ...config, identity }) }),
      createLinkCallbackRoute({ services: { authorizations }, log }),
      createDirectLinkRoute({ links: directLinks, clock, log, trustProxy: config.trustProxy }),
    ],
    ...overrides.server,
  });
  const { server, yoga } = serving;
  return {
    config,
    storage,
    events,
    services,
    yoga,
    server,
    drain: (times) => serving.drain(times),
    close: () =>
      closeAll([
        () => serving.close(),
        () => works.close(),
        () => deviceLinks.close(),
        () => comparisons.close(),
        () => offlineFollower.close(),
        () => housekeeping.close(),
        () => identity.settled(),
        () => mailer.close(),
        () => outbound.close(),
        () => objects?.close(),
        () => turns?.close(),
        () => events.close(),
        () => throttle.close(),
        () => storage.close(),
      ]),
  };
}

/** Loaded only where it is set: the embedded server starts without a client for S3. */
async function openObjects(blobStore: BlobStoreConfig, log: Logger): Promise<ObjectStore> {
  const { openS3 } = await import('./storage/blobs/s3.ts');
  return openS3({ ...blobStore, log });
}

/** Where processes count their requests to providers together; null: there is only this one, which counts in memory. */
async function openTurnLedger({ redisUrl, databaseUrl }: Config, log: Logger): Promise<TurnLedger | null> {
  const isPostgres = databaseUrl.reveal().startsWith('postgres');
  if (!redisUrl && !isPostgres) return null;
  const state = redisUrl ? await openRedisState(redisUrl, log) : createPostgresState(databaseUrl, log);
  return new TurnLedger({ state, log, timer: systemTimer, random: () => randomInt(2 ** 32) / 2 ** 32 });
}

/** A key of its own for the tokens of upload URLs, so that one of them says nothing about a session's. */
const uploadTokenKey = ({ current }: KeyRing): Secret<Buffer> =>
  new Secret(Buffer.from(hkdfSync('sha256', current.key.reveal(), '', 'panql upload urls', 32)));

/** Each step is done, though one before it failed. @throws AggregateError of all that failed. */
async function closeAll(steps: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'not everything could be closed');
}
