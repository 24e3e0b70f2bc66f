import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UploadPlan } from '../../src/drives/contract/upload.ts';
import type { DriveEntry, Driver, Hashes } from '../../src/drives/driver.ts';
import { DriveError } from '../../src/drives/errors.ts';
import type { EventBus } from '../../src/events/bus.ts';
import { Hub } from '../../src/events/hub.ts';
import { addMs, type Clock } from '../../src/lib/clock.ts';
import { hashToken, newId, newToken } from '../../src/lib/ids.ts';
import { createLog } from '../../src/lib/log.ts';
import type { Transfer } from '../../src/storage/entities/transfer.ts';
import type { Storage } from '../../src/storage/orm.ts';
import { Engine, type EngineParts } from '../../src/transfers/engine.ts';
import { entrySource } from '../../src/transfers/entry-source.ts';
import { createFreeing } from '../../src/transfers/freeing.ts';
import { Journal } from '../../src/transfers/journal.ts';
import { Neighbours } from '../../src/transfers/neighbours.ts';
import { ProgressBoard } from '../../src/transfers/progress.ts';
import { Receiver } from '../../src/transfers/receiver.ts';
import type { NewTransfer } from '../../src/transfers/rows.ts';
import type { Sources } from '../../src/transfers/sources.ts';
import { Spool } from '../../src/transfers/spool.ts';
import { TransferStore } from '../../src/transfers/store.ts';
import { Sweeper } from '../../src/transfers/sweep.ts';
import { Watch } from '../../src/transfers/watch.ts';
import type { DatabaseUnderTest } from './databases.ts';

/** A clock that stands still until it is told to go on. */
export class TestClock implements Clock {
  #now = new Date('2026-11-20T08:00:00Z');

  now(): Date {
    return this.#now;
  }

  pass(milliseconds: number): void {
    this.#now = addMs(this.#now, milliseconds);
  }
}

const DAY_MS = 24 * 3_600_000;

/** The parts of one process that transfers need, on a database and a spool that others may share. */
export interface TransferParts {
  readonly owner: string;
  readonly storage: Storage;
  readonly bus: EventBus;
  readonly clock: TestClock;
  readonly spool: Spool;
  readonly neighbours: Neighbours;
  readonly store: TransferStore;
  readonly journal: Journal;
  readonly progress: ProgressBoard;
  readonly receiver: Receiver;
  readonly watch: Watch;
  readonly sweeper: Sweeper;
  /** A worker on the given drive; it begins when it is started. */
  engine(driver: Driver | ((accountId: string) => Driver), limits?: EngineParts['limits'], sources?: Sources): Engine;
  /** An upload that waits for its bytes; gives its row and its token's hash. */
  upload(given?: Partial<NewTransfer>): Promise<{ row: Transfer; tokenHash: string }>;
  /** A transfer whose bytes are in the spool already, waiting for a worker. */
  queued(bytes: Uint8Array, given?: Partial<NewTransfer>): Promise<Transfer>;
  /** Resolves when the transfer is as wanted; with the row. */
  until(id: string, isWanted: (row: Transfer) => boolean): Promise<Transfer>;
}

export interface TransferBench {
  readonly parts: TransferParts;
  readonly spoolFolder: string;
  /** A second process on the same database and spool, with a bus of its own where `apart`. */
  another(apart?: boolean): Promise<TransferParts>;
  /** A process on another host: on the same database and bus, with a spool of its own. */
  elsewhere(): Promise<TransferParts>;
  close(): Promise<void>;
}

export async function openTransferBench(database: DatabaseUnderTest): Promise<TransferBench> {
  const { storage, close } = await database.open();
  const base = await mkdtemp(join(tmpdir(), 'panql-spool-'));
  const folder = join(base, 'spool');
  const clock = new TestClock();
  const bus = await Hub.open(log);
  const closing: (() => Promise<void>)[] = [() => bus.close()];
  const make = async (itsBus: EventBus, spool = folder): Promise<TransferParts> => {
    const parts = await makeParts(storage, itsBus, clock, spool);
    closing.unshift(parts.close);
    return parts;
  };
  return {
    parts: await make(bus),
    spoolFolder: folder,
    another: async (apart = false) => make(apart ? await Hub.open(log) : bus),
    elsewhere: () => make(bus, join(base, `spool ${newId()}`)),
    close: async () => {
      for (const step of closing) await step();
      await close();
      await rm(base, { recursive: true, force: true });
    },
  };
}

const log = createLog({ level: 'silent' });

async function makeParts(
  storage: Storage,
  bus: EventBus,
  clock: TestClock,
  folder: string,
): Promise<TransferParts & { close(): Promise<void> }> {
  const owner = newId();
  const spool = await Spool.open(folder);
  const neighbours = new Neighbours(spool.id, storage, clock);
  const store = new TransferStore(storage, bus, clock);
  const journal = new Journal(storage);
  const progress = new ProgressBoard(bus);
  const receiver = new Receiver({ store, spool, neighbours, bus, clock, progress, owner, expiryMs: DAY_MS });
  const watch = new Watch({ store, journal, bus, progress });
  const discard = (row: Transfer): Promise<void> => spool.remove(row.id);
  const sweeper = new Sweeper({ store, journal, spool, clock, log, discard });
  const engines: Engine[] = [];
  const given = (): NewTransfer => ({
    userId: 'user-1',
    kind: 'UPLOAD',
    state: 'WAITING',
    phase: 'RECEIVING',
    accountId: 'account-1',
    parentRef: 'root',
    name: 'file.bin',
    onConflict: 'FAIL',
    source: { type: 'upload' },
    hashAlgorithms: ['SHA256'],
    bytesTotal: 0,
    expiresAt: addMs(clock.now(), DAY_MS),
  });
  return {
    owner,
    storage,
    bus,
    clock,
    spool,
    neighbours,
    store,
    journal,
    progress,
    receiver,
    watch,
    sweeper,
    engine: (given, limits = {}, sources = {}) => {
      const openDrive = async (_userId: string, accountId: string): Promise<Driver> =>
        typeof given === 'function' ? given(accountId) : given;
      const engine = new Engine({
        ...{ store, spool, neighbours, bus, clock, log, progress, owner, limits },
        sources: { ...sources, entry: entrySource(openDrive) },
        openDrive,
        free: createFreeing({ spool, openDrive, log }),
        random: () => 0,
      });
      engines.push(engine);
      return engine;
    },
    upload: async (more = {}) => {
      const tokenHash = hashToken(newToken());
      return { row: await store.create({ ...given(), uploadTokenHash: tokenHash, ...more }), tokenHash };
    },
    queued: async (bytes, more = {}) => {
      const id = newId();
      await spool.put(id, [bytes]);
      const state = { state: 'QUEUED', phase: 'HASHING', bytesTotal: bytes.length, bytesDone: bytes.length } as const;
      return store.create({ ...given(), ...state, id, spoolId: spool.id, ...more });
    },
    until: async (id, isWanted) => {
      // Not `watch`, which is tested with this.
      const rang = bus.subscribe('transfer.changed', { filter: ({ transferId }) => transferId === id });
      try {
        for (;;) {
          const row = await store.find(id);
          if (row && isWanted(row)) return row;
          await rang.next();
        }
      } finally {
        await rang.return?.();
      }
    },
    close: async () => {
      await Promise.all(engines.map((engine) => engine.close()));
      await receiver.close();
    },
  };
}

/** A drive in memory, for the ways of uploading; what else a driver does, it does not. */
export class MemoryDrive {
  readonly files = new Map<string, { readonly bytes: Buffer; readonly entry: DriveEntry }>();
  /** Called before each act; throws to make it fail, or waits to hold it. */
  before: (act: string, detail: { plan?: UploadPlan; index?: number }) => void | Promise<void> = () => undefined;
  /** Called after each act has had its effect. */
  after: (act: string) => void | Promise<void> = () => undefined;
  /** Slices put, in order, for counting what was sent twice. */
  readonly put: number[] = [];
  readonly #sessions = new Map<string, Map<number, Buffer>>();
  readonly #readFile: (path: string) => Promise<Buffer>;

  constructor(readFile: (path: string) => Promise<Buffer>) {
    this.#readFile = readFile;
  }

  forgetSessions(): void {
    this.#sessions.clear();
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Takes files over. */
  adopting(): Driver {
    return {
      ...this.#base(),
      adopt: async (plan, file) => {
        await this.before('adopt', { plan });
        const entry = this.#keep(plan, await this.#readFile(file.path), file.hashes);
        await this.after('adopt');
        return entry;
      },
    };
  }

  /** Takes slices. */
  slicing(sliceBytes: number, concurrency = 1): Driver {
    return {
      ...this.#base(),
      upload: {
        concurrency,
        begin: async (plan) => {
          await this.before('begin', { plan });
          const id = newId();
          this.#sessions.set(id, new Map());
          const session = { sliceBytes, sliceCount: Math.ceil(plan.sizeBytes / sliceBytes), state: { id } };
          await this.after('begin');
          return { session };
        },
        putSlice: async (_plan, session, index, bytes) => {
          await this.before('putSlice', { index });
          this.#session(session.state).set(index, Buffer.from(bytes));
          this.put.push(index);
          await this.after('putSlice');
          return { index, state: bytes.length };
        },
        complete: async (plan, session, receipts) => {
          await this.before('complete', { plan });
          const slices = this.#session(session.state);
          const bytes = Buffer.concat(receipts.map(({ index }) => slices.get(index) ?? Buffer.alloc(0)));
          const entry = this.#keep(plan, bytes, {});
          this.#sessions.delete((session.state as { id: string }).id);
          await this.after('complete');
          return entry;
        },
        abort: async (session) => {
          this.#sessions.delete((session.state as { id: string }).id);
        },
      },
    };
  }

  #session(state: unknown): Map<number, Buffer> {
    const session = this.#sessions.get((state as { id: string }).id);
    if (!session) throw new DriveError('not_found', 'The session is over.', { provider: 'LOCAL' });
    return session;
  }

  #keep(plan: UploadPlan, bytes: Buffer, hashes: Hashes): DriveEntry {
    const made = [...this.files.values()].find(({ entry }) => entry.ref === plan.transferId);
    if (made) return made.entry;
    if (this.files.has(plan.name)) {
      if (plan.onConflict === 'SKIP') return this.#entryNamed(plan.name);
      if (plan.onConflict === 'FAIL') {
        throw new DriveError('already_exists', 'The name is taken.', { provider: 'LOCAL', existingRef: plan.name });
      }
    }
    const entry: DriveEntry = {
      ref: plan.transferId ?? newId(),
      kind: 'FILE',
      name: plan.name,
      parentRef: plan.parentRef,
      path: null,
      sizeBytes: bytes.length,
      createdAt: null,
      modifiedAt: null,
      revision: null,
      mimeType: null,
      category: null,
      hashes,
      deletedAt: null,
    };
    this.files.set(plan.name, { bytes, entry });
    return entry;
  }

  #entryNamed(name: string): DriveEntry {
    const file = this.files.get(name);
    if (!file) throw new DriveError('not_found', 'There is no such file.', { provider: 'LOCAL' });
    return file.entry;
  }

  #base(): Driver {
    return {
      capabilities: {
        nameBytesMax: 255,
        caseSensitive: true,
        fileBytesMax: null,
        listPageMax: 100,
        hashes: ['SHA256'],
        sorts: [],
      },
      rootRef: 'root',
      list: async () => ({
        items: [...this.files.values()].map(({ entry }) => entry),
        nextCursor: null,
        totalCount: null,
      }),
      stat: async (ref) => this.#entryNamed(ref),
      read: async () => {
        throw new Error('not needed here');
      },
      removePermanently: async (ref) => {
        for (const [name, { entry }] of this.files) if (entry.ref === ref) this.files.delete(name);
      },
    };
  }
}
