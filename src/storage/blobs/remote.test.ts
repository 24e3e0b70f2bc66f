import assert from 'node:assert/strict';
import { createHash, randomInt, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { DATABASES, type TestStorage } from '../../../test/support/databases.ts';
import { createLog } from '../../lib/log.ts';
import type { Storage } from '../orm.ts';
import { BlobDamagedError, BlobSweptError } from './errors.ts';
import { type BlobName, keyOf, nameOf } from './name.ts';
import type { ObjectStore } from './remote.ts';
import type { SettledFile, WholeFile } from './room.ts';
import { BlobStore } from './store.ts';

const HOUR_MS = 3_600_000;
const LIMITS = { unreferencedMs: HOUR_MS, strayMs: 24 * HOUR_MS };
/** Takes whatever it may. */
const GREEDY = { unreferencedMs: -HOUR_MS, strayMs: -HOUR_MS };
const never = new AbortController().signal;
const log = createLog({ level: 'silent' });

type Operation = 'put' | 'putDone' | 'sizeOf' | 'remove' | 'list';

/** A store in memory, which does what the test says before it does what it is asked. */
class MemoryObjects implements ObjectStore {
  readonly kept = new Map<string, Buffer>();
  readonly asked: Operation[] = [];
  before: (operation: Operation, key: string) => Promise<void> | undefined = () => undefined;

  async put(name: BlobName, file: WholeFile): Promise<void> {
    await this.#ask('put', keyOf(name));
    const bytes = await readFile(file.path).catch((cause) => {
      throw new BlobDamagedError('the file is missing', { cause });
    });
    this.kept.set(keyOf(name), bytes);
    await this.#ask('putDone', keyOf(name));
  }

  async sizeOf(name: BlobName): Promise<number | null> {
    await this.#ask('sizeOf', keyOf(name));
    return this.kept.get(keyOf(name))?.length ?? null;
  }

  async read(blob: BlobName): Promise<Readable> {
    const bytes = this.kept.get(keyOf(blob));
    if (!bytes) throw new BlobDamagedError('the object is missing');
    return Readable.from([bytes]);
  }

  async remove(name: BlobName): Promise<void> {
    await this.#ask('remove', keyOf(name));
    this.kept.delete(keyOf(name));
  }

  async *names(): AsyncGenerator<BlobName[]> {
    await this.#ask('list', '');
    yield [...this.kept.keys()].flatMap((key) => nameOf(key) ?? []);
  }

  async abortUploads(): Promise<void> {}
  async check(): Promise<void> {}
  close(): void {}

  async #ask(operation: Operation, key: string): Promise<void> {
    this.asked.push(operation);
    await this.before(operation, key);
  }
}

for (const database of DATABASES) {
  describe(`blobs across a network (${database.dialect})`, { skip: database.skip }, () => {
    let test: TestStorage;
    let storage: Storage;
    let folder: string;
    let now: Date;
    let objects: MemoryObjects;
    let blobs: BlobStore;

    const openStore = (): BlobStore =>
      new BlobStore(join(folder, 'blobs'), storage, { now: () => now }, { objects, log });

    before(async () => {
      test = await database.open();
      storage = test.storage;
    });
    after(() => test.close());
    beforeEach(async (context) => {
      folder = await mkdtemp(join(tmpdir(), 'panql-blobs-'));
      now = new Date();
      objects = new MemoryObjects();
      blobs = openStore();
      await storage.fork().execute('delete from blobs');
      await storage.fork().execute('delete from blob_arrivals');
      (context as { after(work: () => Promise<void>): void }).after(() => rm(folder, { recursive: true, force: true }));
    });

    it('keeps bytes under a name that is used once, and leaves the spooled file', async () => {
      const file = await spool('some bytes');
      await adopt(file);
      const [key = ''] = [...objects.kept.keys()];
      assert.match(
        key,
        new RegExp(`^${file.sha256.slice(0, 2)}/${file.sha256.slice(2, 4)}/${file.sha256}\\.[0-9a-f]{16}$`),
      );
      assert.equal(await content(file), 'some bytes');
      assert.equal(await readFile(file.path, 'utf8'), 'some bytes');
      await assertTidy(1);
    });

    it('keeps equal bytes once, and does not send them again', async () => {
      await adopt(await spool('the same'));
      const again = await spool('the same');
      await adopt(again);
      assert.equal(await references(again), 2);
      assert.equal(objects.asked.filter((operation) => operation === 'put').length, 1);
      await assertTidy(1);
    });

    it('counts right when the same bytes come many times at once, and keeps one object of them', async () => {
      const files = await Promise.all(Array.from({ length: 8 }, () => spool('all at once')));
      await Promise.all(files.map(adopt));
      const [file] = files;
      assert.ok(file);
      assert.equal(await references(file), 8);
      assert.equal(await content(file), 'all at once');
      await assertTidy(1);
    });

    it('mends an object that is lost or short when its bytes come again', async () => {
      const file = await spool('precious');
      await adopt(file);
      const [key = ''] = [...objects.kept.keys()];
      for (const damage of [() => objects.kept.delete(key), () => objects.kept.set(key, Buffer.from('pre'))]) {
        damage();
        await adopt(await spool('precious'));
        assert.equal(await content(file), 'precious');
      }
      assert.deepEqual([...objects.kept.keys()], [key]);
    });

    it('takes bytes that are there already when the spooled file is gone: a try before adopted it', async () => {
      const file = await spool('adopted once');
      await adopt(file);
      await rm(file.path);
      await adopt(file);
      assert.equal(await references(file), 2);
      await assert.rejects(adopt({ ...(await spool('never here')), path: join(folder, 'nowhere') }), BlobDamagedError);
      await assertTidy(1);
    });

    it('has nothing of bytes that nobody came to adopt', async () => {
      await blobs.keep(await spool('skipped'), never, async () => {});
      await assert.rejects(dieBeforeCommit(await spool('failed')), /killed/);
      await assertTidy(0);
    });

    it('keeps bytes whose commit went through, though its answer was lost', async () => {
      const file = await spool('answered by nobody');
      const lost = blobs.keep(file, never, async (settled) => {
        await storage.transaction((em) => blobs.adopt(em, settled));
        throw new Error('connection lost');
      });
      await assert.rejects(lost, /connection lost/);
      assert.equal(await content(file), 'answered by nobody');
      await assertTidy(1);
    });

    it('reads and removes what was copied from a folder', async () => {
      const bytes = Buffer.from('from a folder');
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      objects.kept.set(keyOf({ sha256, generation: null }), bytes);
      await storage
        .fork()
        .execute('insert into blobs (sha256, size_bytes, reference_count, created_at) values (?, ?, 1, ?)', [
          sha256,
          bytes.length,
          now,
        ]);
      const file = await spool('from a folder');
      await adopt(file);
      assert.equal(await content(file), 'from a folder');
      await release(file, 2);
      await adopt(file);
      assert.equal(await content(file), 'from a folder');
      await release(file);
      now = new Date(now.getTime() + 2 * HOUR_MS);
      assert.equal(await blobs.sweep(LIMITS), 1);
      await assertTidy(0);
    });

    describe('a crash', () => {
      for (const [step, operation] of [
        ['an arrival is noted', 'put'],
        ['its object is put', 'putDone'],
      ] as const) {
        it(`when ${step} leaves what a sweep removes, when it is old`, async () => {
          const file = await spool('crashed');
          objects.before = (asked) => (asked === operation ? new Promise<never>(() => {}) : undefined);
          const dead = adopt(file);
          dead.catch(() => {});
          while (!objects.asked.includes(operation)) await setImmediate();
          objects.before = () => undefined;

          assert.equal(await blobs.sweep(LIMITS), 0);
          assert.equal(await arrivals(), 1);
          await adopt(await spool('crashed')); // Who comes next is not held up by it.
          now = new Date(now.getTime() + 2 * LIMITS.strayMs);
          assert.equal(await blobs.sweep(LIMITS), 1);
          assert.equal(await content(file), 'crashed');
          await assertTidy(1);
        });
      }

      it('before the commit leaves an object that a sweep removes, when it is old', async () => {
        const held = Promise.withResolvers<void>();
        const settled = Promise.withResolvers<SettledFile>();
        void blobs.keep(await spool('crashed'), never, async (file) => {
          settled.resolve(file);
          await held.promise;
        });
        await settled.promise;
        assert.equal(await blobs.sweep(LIMITS), 0);
        now = new Date(now.getTime() + 2 * LIMITS.strayMs);
        assert.equal(await blobs.sweep(LIMITS), 1);
        await assertTidy(0);
      });

      it('when a row is deleted leaves its object to the listing of the next sweep', async () => {
        const file = await spool('half removed');
        await adopt(file);
        await release(file);
        objects.before = async (asked) => {
          if (asked === 'remove') throw new Error('killed');
        };
        await assert.rejects(blobs.sweep(GREEDY), /killed/);
        assert.equal(await references(file), null);
        assert.equal(objects.kept.size, 1);
        objects.before = () => undefined;
        assert.equal(await openStore().sweep(GREEDY), 1);
        await assertTidy(0);
      });

      it('when an old arrival is deleted leaves its object to the listing of the next sweep', async () => {
        objects.before = async (asked) => {
          if (asked === 'putDone' || asked === 'remove') throw new Error('killed');
        };
        await assert.rejects(adopt(await spool('forgotten')), /killed/);
        assert.equal(objects.kept.size, 1);
        objects.before = () => undefined;
        assert.equal(await openStore().sweep(GREEDY), 1);
        await assertTidy(0);
      });
    });

    describe('the sweep', () => {
      it('removes what nothing refers to, after a time of grace', async () => {
        const [kept, gone] = [await spool('kept'), await spool('gone')];
        for (const file of [kept, gone]) await adopt(file);
        await release(gone);
        assert.equal(await blobs.sweep(LIMITS), 0);
        now = new Date(now.getTime() + 2 * HOUR_MS);
        assert.equal(await blobs.sweep(LIMITS), 1);
        assert.equal(await content(kept), 'kept');
        await assert.rejects(content(gone), BlobDamagedError);
        await assertTidy(1);
      });

      it('that takes bytes between their look-up and their adoption makes them be sent again', async () => {
        const file = await spool('just swept');
        await adopt(file);
        await release(file);
        let rounds = 0;
        await blobs.keep(await spool('just swept'), never, async (settled) => {
          rounds += 1;
          if (rounds === 1) assert.equal(await blobs.sweep(GREEDY), 1);
          await storage.transaction((em) => blobs.adopt(em, settled));
        });
        assert.equal(rounds, 2);
        assert.equal(await content(file), 'just swept');
        await assertTidy(1);
      });

      it('that takes an arrival for forgotten makes its bytes be sent again', async () => {
        let rounds = 0;
        const file = await spool('slowly brought');
        await blobs.keep(file, never, async (settled) => {
          rounds += 1;
          if (rounds === 1) assert.equal(await blobs.sweep(GREEDY), 1);
          await storage.transaction((em) => blobs.adopt(em, settled));
        });
        assert.equal(rounds, 2);
        assert.equal(await content(file), 'slowly brought');
        await assertTidy(1);
      });

      it('that always is quicker is told, and nothing is left', async () => {
        const hopeless = blobs.keep(await spool('never kept'), never, async (settled) => {
          await blobs.sweep(GREEDY);
          await storage.transaction((em) => blobs.adopt(em, settled));
        });
        await assert.rejects(hopeless, BlobSweptError);
        await assertTidy(0);
      });

      it('that hangs with a deletion does no harm to the same bytes, come again meanwhile', async () => {
        const file = await spool('come again');
        await adopt(file);
        await release(file);
        const hanging = Promise.withResolvers<void>();
        objects.before = (asked) => (asked === 'remove' ? hanging.promise : undefined);
        const sweeping = blobs.sweep({ ...GREEDY, strayMs: LIMITS.strayMs });
        while (!objects.asked.includes('remove')) await setImmediate();
        const again = await spool('come again');
        await adopt(again);
        hanging.resolve();
        assert.equal(await sweeping, 1);
        assert.equal(await content(again), 'come again');
        await assertTidy(1);
      });

      it('lists all objects only now and then', async () => {
        for (let times = 0; times < 3; times += 1) await blobs.sweep(LIMITS);
        now = new Date(now.getTime() + 7 * HOUR_MS);
        await blobs.sweep(LIMITS);
        assert.equal(objects.asked.filter((operation) => operation === 'list').length, 2);
      });
    });

    it('whatever happens at once, a row that is referred to has its object', async () => {
      objects.before = async () => {
        for (let turns = randomInt(8); turns > 0; turns -= 1) await setImmediate();
      };
      const contents = ['first', 'second', 'third'];
      const referred = new Map<string, number>();
      const worker = async (): Promise<void> => {
        for (let round = 0; round < 12; round += 1) {
          const content = contents[randomInt(contents.length)] ?? '';
          const file = await spool(content);
          try {
            await adopt(file);
            referred.set(content, (referred.get(content) ?? 0) + 1);
          } catch (error) {
            if (!(error instanceof BlobSweptError)) throw error; // A greedy sweep may win each time.
            continue;
          }
          await assertWhole(file);
          if (randomInt(4) === 0) continue;
          await release(file);
          referred.set(content, (referred.get(content) ?? 0) - 1);
        }
      };
      let done = false;
      const sweeper = async (): Promise<void> => {
        while (!done) await openStore().sweep(GREEDY);
      };
      const sweeping = [sweeper(), sweeper()];
      await Promise.all(Array.from({ length: 4 }, worker)).finally(() => {
        done = true;
      });
      await Promise.all(sweeping);
      objects.before = () => undefined;
      await openStore().sweep(GREEDY);
      const live = contents.filter((content) => (referred.get(content) ?? 0) > 0);
      for (const content of live) {
        const file = await spool(content);
        assert.equal(await references(file), referred.get(content));
        await assertWhole(file);
      }
      await assertTidy(live.length);
    });

    async function spool(content: string): Promise<WholeFile> {
      const path = join(folder, randomUUID());
      await writeFile(path, content);
      const sha256 = createHash('sha256').update(content).digest('hex');
      return { path, sizeBytes: Buffer.byteLength(content), sha256 };
    }

    async function adopt(file: WholeFile): Promise<void> {
      await blobs.keep(file, never, (settled) => storage.transaction((em) => blobs.adopt(em, settled)));
    }

    const dieBeforeCommit = (file: WholeFile): Promise<void> =>
      blobs.keep(file, never, (settled) =>
        storage.transaction(async (em) => {
          await blobs.adopt(em, settled);
          throw new Error('killed');
        }),
      );

    async function release({ sha256 }: WholeFile, times = 1): Promise<void> {
      await storage.transaction((em) => blobs.count(em, new Map([[sha256, -times]])));
    }

    async function content(file: WholeFile): Promise<string> {
      const [row] = await storage
        .fork()
        .execute<{ generation: string | null }[]>('select generation from blobs where sha256 = ?', [file.sha256]);
      const blob = { sha256: file.sha256, sizeBytes: file.sizeBytes, generation: row?.generation ?? null };
      return text(await blobs.read(blob, { start: 0, end: file.sizeBytes - 1 }, never));
    }

    /** The row that is referred to has its object; while it is looked at, it may be released and swept. */
    async function assertWhole(file: WholeFile): Promise<void> {
      const rows = await storage.transaction((em) =>
        em
          .execute<{ generation: string | null }[]>(
            `select generation from blobs where sha256 = ? and reference_count > 0 ${database.dialect === 'postgres' ? 'for update' : ''}`,
            [file.sha256],
          )
          .then((found) =>
            found.map((row) => ({ row, isThere: objects.kept.has(keyOf({ sha256: file.sha256, ...row })) })),
          ),
      );
      for (const { isThere } of rows) assert.ok(isThere, 'a row without its object');
    }

    async function references({ sha256 }: WholeFile): Promise<number | null> {
      const rows = await storage
        .fork()
        .execute<{ count: number }[]>('select reference_count as count from blobs where sha256 = ?', [sha256]);
      return rows[0]?.count ?? null;
    }

    async function arrivals(): Promise<number> {
      return (await storage.fork().execute<unknown[]>('select generation from blob_arrivals')).length;
    }

    /** So many rows, as many objects, and nothing on its way. */
    async function assertTidy(count: number): Promise<void> {
      const rows = await storage.fork().execute<BlobName[]>('select sha256, generation from blobs');
      assert.deepEqual([...objects.kept.keys()].toSorted(), rows.map(keyOf).toSorted());
      assert.equal(rows.length, count);
      assert.equal(await arrivals(), 0);
    }
  });
}
