import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Driver } from '../drives/driver.ts';
import type { EventBus } from '../events/bus.ts';
import type { Clock } from '../lib/clock.ts';
import { newToken } from '../lib/ids.ts';
import type { Logger } from '../lib/log.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import type { Storage } from '../storage/orm.ts';
import { Engine } from './engine.ts';
import { entrySource } from './entry-source.ts';
import { createFreeing, freeItems } from './freeing.ts';
import { Journal } from './journal.ts';
import { isKeptElsewhere, Neighbours } from './neighbours.ts';
import { ProgressBoard } from './progress.ts';
import { Receiver } from './receiver.ts';
import type { Sources } from './sources.ts';
import { Spool } from './spool.ts';
import { TransferStore } from './store.ts';
import { Sweeper } from './sweep.ts';
import { Watch } from './watch.ts';

export interface TransferOptions {
  readonly storage: Storage;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly log: Logger;
  /** The spool is a folder in it. */
  readonly dataDir: string;
  /** How long an upload may rest between two requests, in milliseconds. */
  readonly uploadExpiryMs: number;
  /** The drive of a user's account, ready for use. Throws a DomainError when it cannot be used. */
  readonly openDrive: (userId: string, accountId: string) => Promise<Driver>;
  /** How bytes are had that lie elsewhere than in a drive. */
  readonly sources?: Omit<Sources, 'entry'>;
}

/** What moves bytes, put together. */
export interface TransferWorks {
  readonly store: TransferStore;
  readonly spool: Spool;
  readonly receiver: Receiver;
  readonly watch: Watch;
  /** Whether the bytes of a transfer may be at another host, which is alive or may come back. */
  keptElsewhere(row: Transfer): Promise<boolean>;
  /** Tells whoever is at work on a paused transfer to stop. */
  stop(transferId: string): void;
  /** Frees what a transfer that was given up holds: its worker, its file, its session at the provider. Never rejects. */
  readonly discard: (row: Transfer) => Promise<void>;
  /** Ends what waited too long, and removes what nobody needs any more. */
  sweep(): Promise<void>;
  /** Begins to work off the queue. */
  start(): void;
  /** Parks what is under way, so that it goes on after the next start. */
  close(): Promise<void>;
}

export async function openTransfers(options: TransferOptions): Promise<TransferWorks> {
  const { storage, events: bus, clock, log, openDrive, uploadExpiryMs: expiryMs } = options;
  const owner = `${hostname().slice(0, 32)}/${process.pid}/${newToken(6)}`;
  const spool = await Spool.open(join(options.dataDir, 'spool'));
  const neighbours = new Neighbours(spool.id, storage, clock);
  await neighbours.start(log);
  const store = new TransferStore(storage, bus, clock);
  // SQLite is one process's at a time: whatever is held is held by nobody.
  if (storage.dialect === 'sqlite') await store.releaseAll();
  const journal = new Journal(storage);
  const progress = new ProgressBoard(bus);
  const receiver = new Receiver({ store, spool, neighbours, bus, clock, progress, owner, expiryMs });
  const free = createFreeing({ spool, openDrive, log });
  const sources: Sources = { ...options.sources, entry: entrySource(openDrive) };
  const engine = new Engine({ store, spool, neighbours, bus, clock, log, progress, owner, openDrive, sources, free });
  const discard = async (row: Transfer): Promise<void> => {
    void bus.publish('transfer.control', { transferId: row.id, action: 'cancel' });
    await free(row);
    if (row.itemsTotal != null) await freeItems(store, row.id, free);
  };
  const sweeper = new Sweeper({ store, journal, spool, clock, log, discard });
  return {
    store,
    spool,
    receiver,
    watch: new Watch({ store, journal, bus, progress }),
    stop: (transferId) => void bus.publish('transfer.control', { transferId, action: 'pause' }),
    discard,
    keptElsewhere: async (row) => isKeptElsewhere(row, await neighbours.reach()),
    sweep: async () => {
      await sweeper.sweep();
      await neighbours.sweep();
    },
    start: () => engine.start(),
    close: async () => {
      await receiver.close();
      await engine.close();
      neighbours.close();
    },
  };
}
