import type { Clock } from '../../lib/clock.ts';
import type { BlobStore } from '../../storage/blobs/store.ts';
import type { Storage } from '../../storage/orm.ts';
import type { DriveChange, EntryKind } from '../driver.ts';

/** A committed change, as the event bus carries it. */
export interface EntryChanged {
  readonly accountId: string;
  /** The folders in which it is seen: of a move, both. */
  readonly folderRefs: readonly string[];
  readonly kind: DriveChange['kind'];
  readonly entryRef: string;
  readonly entryKind: EntryKind;
  readonly path: string | null;
  /** RFC 3339, UTC. */
  readonly at: string;
}

/** What the built-in drive works with. Its provider is our own database, so it may know the storage. */
export interface LocalServices {
  readonly storage: Storage;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** Called after the commit of each change. Must not throw. */
  readonly announce: (event: EntryChanged) => void;
}

/** One account's drive: the services, and whose they are used for. */
export interface LocalContext extends LocalServices {
  readonly accountId: string;
}
