import type { BlobStore } from '../storage/blobs/store.ts';
import type { Storage } from '../storage/orm.ts';
import type { Accounts } from './accounts.ts';
import type { DownloadAllowances } from './allowance.ts';
import type { Audit } from './audit.ts';
import type { Batches } from './batches.ts';
import type { Changes } from './changes.ts';
import type { CopyPlans } from './copy-plans.ts';
import type { DirectLinks } from './direct-links.ts';
import type { Downloads } from './downloads.ts';
import type { Drives } from './drives.ts';
import type { Editing } from './editing.ts';
import type { Entries } from './entries.ts';
import type { Idempotency } from './idempotency.ts';
import type { Identity } from './identity/identity.ts';
import type { Intake } from './intake.ts';
import type { LinkSaving } from './link-saving.ts';
import type { Authorizations } from './linking/authorizations.ts';
import type { CredentialLinks } from './linking/credential-links.ts';
import type { DeviceLinks } from './linking/device-links.ts';
import type { Links } from './links.ts';
import type { Media } from './media.ts';
import type { MediaLists } from './media-lists.ts';
import type { Notices } from './notices.ts';
import type { OfflineFollower } from './offline/follower.ts';
import type { OfflineLists } from './offline/lists.ts';
import type { OfflineTasks } from './offline/tasks.ts';
import type { OfflineTorrents } from './offline/torrents.ts';
import type { Playlists } from './playlists.ts';
import type { Search } from './search.ts';
import type { ShareLists } from './share-lists.ts';
import type { Shares } from './shares.ts';
import type { Throttle } from './throttle.ts';
import type { Transfers } from './transfers.ts';
import type { Uploads } from './uploads.ts';
import type { VaultKeys } from './vault-keys.ts';

/** The use cases, as resolvers and routes call them. Each checks the viewer's right itself. */
export interface Services {
  readonly health: Health;
  readonly links: Links;
  readonly identity: Identity;
  readonly audit: Audit;
  readonly throttle: Throttle;
  readonly drives: Drives;
  readonly accounts: Accounts;
  readonly deviceLinks: DeviceLinks;
  readonly authorizations: Authorizations;
  readonly credentialLinks: CredentialLinks;
  readonly entries: Entries;
  readonly editing: Editing;
  readonly copyPlans: CopyPlans;
  readonly search: Search;
  readonly changes: Changes;
  readonly idempotency: Idempotency;
  readonly notices: Notices;
  readonly allowances: DownloadAllowances;
  readonly downloads: Downloads;
  readonly directLinks: DirectLinks;
  readonly linkSaving: LinkSaving;
  readonly shares: Shares;
  readonly shareLists: ShareLists;
  readonly offlineTasks: OfflineTasks;
  readonly offlineTorrents: OfflineTorrents;
  readonly offlineLists: OfflineLists;
  readonly offlineFollower: OfflineFollower;
  readonly media: Media;
  readonly mediaLists: MediaLists;
  readonly playlists: Playlists;
  readonly transfers: Transfers;
  readonly uploads: Uploads;
  readonly intake: Intake;
  readonly batches: Batches;
  readonly vaultKeys: VaultKeys;
}

/** How long the store of blobs may take to answer, in milliseconds: less than whoever asks waits. */
const STORE_ANSWER_MS = 1_500;

/** Whether this process can do its work. */
export class Health {
  readonly #storage: Storage;
  readonly #blobs: BlobStore;

  constructor({ storage, blobs }: { readonly storage: Storage; readonly blobs: BlobStore }) {
    this.#storage = storage;
    this.#blobs = blobs;
  }

  async ready(): Promise<boolean> {
    try {
      await Promise.all([this.#storage.ping(), this.#blobs.check(AbortSignal.timeout(STORE_ANSWER_MS))]);
      return true;
    } catch {
      return false; // The reason is the database's or the store's, and in the log.
    }
  }
}
