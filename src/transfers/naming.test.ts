import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { byteDrive } from '../../test/support/byte-drive.ts';
import { DATABASES } from '../../test/support/databases.ts';
import { openTransferBench, type TransferBench, type TransferParts } from '../../test/support/transfers.ts';
import type { DriveEntry, Driver } from '../drives/driver.ts';
import { DriveError } from '../drives/errors.ts';
import type { Transfer } from '../storage/entities/transfer.ts';
import { entryRow } from './folders.ts';
import { isFinal } from './states.ts';
import { LEASE_MS } from './store.ts';

const LIMITS = { pollMs: 5 };
const CALL = { signal: new AbortController().signal };
const BYTES = randomBytes(10_000);
const HASHES = {
  MD5: createHash('md5').update(BYTES).digest('hex'),
  SHA256: createHash('sha256').update(BYTES).digest('hex'),
};

const fault = (category: 'timeout' | 'already_exists' | 'not_found'): DriveError =>
  new DriveError(category, 'It failed.', { provider: 'LOCAL' });

/** The drives of a test; all goes into the account `to`. */
class World {
  /** Knows hashes, and copies between its accounts. */
  readonly net = byteDrive({ hashes: ['MD5'], instantHashes: ['MD5'], copiesAcross: true });
  readonly other = byteDrive({ id: 'PAN123', hashes: ['MD5'] });
  /** Tells no hashes, but sizes and times. */
  readonly plain = byteDrive({ id: 'BAIDU', sliceBytes: 4_000 });
  readonly mute = new MuteDrive();
  readonly parts: TransferParts;

  constructor(parts: TransferParts) {
    this.parts = parts;
  }

  /** A transfer whose bytes are here. */
  here(given: Partial<Transfer>): Promise<Transfer> {
    return this.parts.queued(BYTES, { accountId: 'to', spoolHashes: HASHES, ...given });
  }

  /** A copy or move of a file of another account. */
  async copy(given: Partial<Transfer>, from: typeof this.net): Promise<Transfer> {
    const entry = await from.driverOf('from').stat(from.account('from').put('file.bin', BYTES), CALL);
    const source = { accountId: 'from', ref: entry.ref, sameProvider: from === this.net };
    return this.parts.store.create({
      ...entryRow(this.net.driverOf('to'), source, entry),
      ...{ userId: 'user-1', kind: 'COPY', accountId: 'to', parentRef: 'root', ...given },
    });
  }

  /** Does `effect` once, when a drive has done `act` and is about to say so. */
  after(act: string, effect: () => Promise<void>): void {
    let isDone = false;
    const after = (done: string): Promise<void> | undefined => {
      if (isDone || done !== act) return undefined;
      isDone = true;
      return effect();
    };
    for (const { behaviour } of [this.net, this.plain]) behaviour.after = after;
    this.mute.after = after;
  }
}

/** A way into a drive, and the act that makes the file there. */
interface Way {
  readonly name: string;
  readonly act: string;
  readonly begin: (world: World, given: Partial<Transfer>) => Promise<Transfer>;
  readonly open: (world: World, accountId: string) => Driver;
  /** Puts a file of these bytes there, as somebody else would. */
  readonly put: (world: World, name: string) => void;
  readonly names: (world: World) => readonly string[];
}

const namesOf = (drive: ReturnType<typeof byteDrive>): string[] => Object.keys(drive.account('to').tree());
const intoNet = {
  put: ({ net }: World, name: string) => void net.account('to').put(name, BYTES),
  names: ({ net }: World) => namesOf(net),
};

const WAYS: readonly Way[] = [
  {
    ...intoNet,
    name: 'copied by its provider',
    act: 'copyFromAccount',
    open: ({ net }, accountId) => net.driverOf(accountId),
    begin: (world, given) => world.copy(given, world.net),
  },
  {
    ...intoNet,
    name: 'found there by the hash that its source tells',
    act: 'upload.begin',
    open: ({ net, other }, accountId) => (accountId === 'from' ? other : net).driverOf(accountId),
    begin: (world, given) => world.copy(given, world.other),
  },
  {
    ...intoNet,
    name: 'found there by the hash of bytes that are here',
    act: 'upload.begin',
    open: ({ net }, accountId) => net.driverOf(accountId),
    begin: (world, given) => world.here(given),
  },
  {
    name: 'sent in slices to a drive that tells sizes and times',
    act: 'upload.complete',
    open: ({ plain }, accountId) => plain.driverOf(accountId),
    begin: (world, given) => world.here(given),
    put: ({ plain }, name) => void plain.account('to').put(name, BYTES),
    names: ({ plain }) => namesOf(plain),
  },
  {
    name: 'sent whole to a drive that tells nothing of it',
    act: 'adopt',
    open: ({ mute }) => mute.driver,
    begin: (world, given) => world.here(given),
    put: ({ mute }, name) => void mute.files.set(`/${name}`, BYTES),
    names: ({ mute }) => [...mute.files.keys()].toSorted(),
  },
];

for (const database of DATABASES) {
  describe(`a file is made once on ${database.dialect}`, { skip: database.skip }, () => {
    let bench: TransferBench;
    let parts: TransferParts;
    let world: World;

    beforeEach(async () => {
      bench = await openTransferBench(database);
      parts = bench.parts;
      world = new World(parts);
    });
    afterEach(() => bench.close());

    const finished = (id: string): Promise<Transfer> => parts.until(id, ({ state }) => isFinal(state));
    const start = (way: Way, its = parts, limits = {}) => {
      const engine = its.engine((accountId) => way.open(world, accountId), { ...LIMITS, ...limits });
      engine.start();
      return engine;
    };
    const checkDone = async (way: Way, { state, failure, entryRef }: Transfer, name: string): Promise<void> => {
      assert.deepEqual([state, failure], ['SUCCEEDED', null]);
      const { path, name: made } = await way.open(world, 'to').stat(entryRef ?? '', CALL);
      assert.equal(path ?? `/${made}`, `/${name}`);
    };

    for (const way of WAYS) {
      // The file that has the name has the same bytes: it must not be taken for what was made.
      test(`${way.name}: under the next free name, though the answer is lost`, async () => {
        way.put(world, 'file.bin');
        world.after(way.act, () => Promise.reject(fault('timeout')));
        start(way);
        const { id } = await way.begin(world, { onConflict: 'RENAME' });
        await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
        parts.clock.pass(60_000);
        await checkDone(way, await finished(id), 'file (2).bin');
        assert.deepEqual(way.names(world), ['/file (2).bin', '/file.bin']);
      });

      test(`${way.name}: under the next free name, though the process dies before the answer`, async () => {
        way.put(world, 'file.bin');
        const reached = Promise.withResolvers<void>();
        const hung = Promise.withResolvers<void>();
        world.after(way.act, () => {
          reached.resolve();
          return hung.promise;
        });
        // A worker whose bus nobody else hears, and which is never heard of again once it hangs.
        const dead = await bench.another(true);
        const engine = start(way, dead, { runningMax: 1 });
        const { id } = await way.begin(world, { onConflict: 'RENAME' });
        await reached.promise;
        start(way);
        parts.clock.pass(LEASE_MS + 1);
        await checkDone(way, await finished(id), 'file (2).bin');
        hung.reject(new Error('it comes back to life, and is too late'));
        await engine.close();
        assert.deepEqual(way.names(world), ['/file (2).bin', '/file.bin']);
      });

      test(`${way.name}: its own file is not in its way, though the answer is lost`, async () => {
        // What a hit needs, in another place.
        world.net.account('elsewhere').put('other.bin', BYTES);
        world.after(way.act, () => Promise.reject(fault('timeout')));
        start(way);
        const { id } = await way.begin(world, { onConflict: 'FAIL' });
        await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
        parts.clock.pass(60_000);
        await checkDone(way, await finished(id), 'file.bin');
        assert.deepEqual(way.names(world), ['/file.bin']);
      });
    }

    const [, byHash, , inSlices] = WAYS as [Way, Way, Way, Way, Way];

    test('two of one name that are made at once are two', async () => {
      const both = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      let under = 0;
      world.plain.behaviour.before = (act) => {
        if (act !== 'upload.complete') return undefined;
        under += 1;
        if (under === 2) both.resolve();
        return goOn.promise;
      };
      start(inSlices);
      const rows = await Promise.all([1, 2].map(() => inSlices.begin(world, { onConflict: 'RENAME' })));
      await both.promise;
      const asked = await parts.store.findMany(rows.map(({ id }) => id));
      // Before the drive is asked: one of them may die, and what the other makes is not its own.
      assert.deepEqual(asked.map(({ claimedName }) => claimedName).toSorted(), ['file (2).bin', 'file.bin']);
      goOn.resolve();
      const ended = await Promise.all(rows.map(({ id }) => finished(id)));
      assert.deepEqual(
        ended.map(({ state }) => state),
        ['SUCCEEDED', 'SUCCEEDED'],
      );
      assert.deepEqual(inSlices.names(world), ['/file (2).bin', '/file.bin']);
    });

    test('a name that somebody takes meanwhile is left to them, and the next is asked for', async () => {
      world.plain.behaviour.before = (act) => {
        if (act !== 'upload.complete') return undefined;
        world.plain.behaviour.before = () => undefined;
        world.plain.account('to').put('file.bin', 'of somebody else');
        return undefined;
      };
      start(inSlices);
      const { id } = await inSlices.begin(world, { onConflict: 'RENAME' });
      await checkDone(inSlices, await finished(id), 'file (2).bin');
      assert.deepEqual(world.plain.account('to').tree(), {
        '/file (2).bin': BYTES.toString(),
        '/file.bin': 'of somebody else',
      });
      assert.equal(world.plain.sessions.size, 0, 'the session of the first name was ended');
    });

    test('what has the name stays for SKIP, but not when it is what the try before made', async () => {
      world.net.account('elsewhere').put('other.bin', BYTES);
      world.after(byHash.act, () => Promise.reject(fault('timeout')));
      start(byHash);
      const { id } = await byHash.begin(world, { onConflict: 'SKIP', kind: 'MOVE' });
      await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
      parts.clock.pass(60_000);
      await checkDone(byHash, await finished(id), 'file.bin');
      assert.deepEqual(world.other.account('from').tree(), {}, 'it was moved');
    });

    test('other bytes under the name of a file whose answer was lost are not taken for it', async () => {
      world.after('adopt', async () => {
        world.mute.files.set('/file.bin', randomBytes(BYTES.length)); // As a server does that was cut off in it.
        throw fault('timeout');
      });
      const [whole] = WAYS.slice(-1) as [Way];
      start(whole);
      const { id } = await whole.begin(world, { onConflict: 'FAIL' });
      await parts.until(id, ({ state, attempts }) => state === 'QUEUED' && attempts === 1);
      parts.clock.pass(60_000);
      const row = await finished(id);
      assert.deepEqual([row.state, row.failure?.code], ['FAILED', 'ALREADY_EXISTS']);
    });
  });
}

/** Takes files whole, and tells neither their size nor a hash nor a time: only what is at a path, and its bytes. */
class MuteDrive {
  /** By path. */
  readonly files = new Map<string, Buffer>();
  after: (act: string) => Promise<void> | undefined = () => undefined;

  readonly driver: Driver = {
    capabilities: {
      nameBytesMax: 255,
      caseSensitive: true,
      fileBytesMax: null,
      listPageMax: 1,
      hashes: ['SHA256'],
      sorts: [],
    },
    rootRef: 'root',
    stat: async (ref) => this.#entry(ref),
    resolve: async (segments) => this.#entry(`/${segments.join('/')}`),
    read: async (ref) => Readable.from([this.files.get(ref) ?? Buffer.alloc(0)]),
    adopt: async ({ name, onConflict }, { path }) => {
      const ref = `/${name}`;
      if (this.files.has(ref) && onConflict !== 'REPLACE') throw fault('already_exists');
      this.files.set(ref, await readFile(path));
      await this.after('adopt');
      return this.#entry(ref);
    },
  };

  #entry(ref: string): DriveEntry {
    if (ref !== 'root' && !this.files.has(ref)) throw fault('not_found');
    return {
      ...{ ref, kind: ref === 'root' ? 'FOLDER' : 'FILE', name: ref.slice(1), parentRef: null, hashes: {} },
      path: ref === 'root' ? '/' : ref,
      ...{ sizeBytes: null, createdAt: null, modifiedAt: null, revision: null, mimeType: null, category: null },
      deletedAt: null,
    };
  }
}
