import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DATABASES, type TestStorage } from '../../../test/support/databases.ts';
import { listing } from '../../../test/support/listing.ts';
import { captureLog } from '../../../test/support/log.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { memoryDrive } from '../../../test/support/memory-drive.ts';
import type { Driver } from '../../drives/driver.ts';
import { DriveError } from '../../drives/errors.ts';
import { Hub } from '../../events/hub.ts';
import type { Topics } from '../../events/topics.ts';
import { ReauthorizationRequiredError } from '../../lib/errors.ts';
import { newId } from '../../lib/ids.ts';
import { Secret } from '../../lib/secret.ts';
import { Account } from '../../storage/entities/account.ts';
import { OfflineFollow, type OfflineTask } from '../../storage/entities/offline-task.ts';
import { Cipher } from '../../vault/cipher.ts';
import { loadKeyRing } from '../../vault/keyring.ts';
import { Vault } from '../../vault/vault.ts';
import {
  LEASE_MS,
  OfflineFollower,
  PARKED_MS,
  POLL_MAX_MS,
  POLL_MIN_MS,
  POLL_WATCHED_MAX_MS,
  UNKNOWN_GRACE_MS,
  WATCH_MS,
} from './follower.ts';
import { OfflineRecords } from './records.ts';
import { OfflineSync } from './sync.ts';

for (const { dialect, skip, open } of DATABASES) {
  describe(`offline tasks are followed on ${dialect}`, { skip, timeout: 60_000 }, () => {
    const clock = new ManualClock();
    const { log, lines } = captureLog();
    let database: TestStorage;
    let bus: Hub;
    let records: OfflineRecords;
    let sync: OfflineSync;
    const told: Topics['offlineTask.changed'][] = [];
    const entries: Topics['entry.changed'][] = [];

    before(async () => {
      database = await open();
      bus = await Hub.open(log);
      bus.on('offlineTask.changed', (event) => void told.push(event));
      bus.on('entry.changed', (event) => void entries.push(event));
      const configured = new Secret(`k1:${randomBytes(32).toString('base64')}`);
      const ring = loadKeyRing({ name: 'VAULT_KEYS', configured, dataDir: '', environment: 'test' });
      records = new OfflineRecords({ storage: database.storage, vault: new Vault(new Cipher(ring)), clock });
      sync = new OfflineSync({ records, events: bus, clock, log });
    });
    after(async () => {
      await bus.close();
      await database.close();
    });
    beforeEach(async () => {
      await database.storage.fork().nativeDelete(OfflineFollow, {}); // Each test has processes of its own.
      told.length = 0;
      entries.length = 0;
    });

    /** An account with its drive, and a process that follows it; others may be made beside it. */
    async function bench(drive = memoryDrive({ acts: ['offline'], timeless: true })) {
      const accountId = newId();
      const ownerId = newId();
      await database.storage.fork().insert(Account, {
        ...{ id: accountId, ownerId, provider: 'NETDISK', label: 'Linked', shared: false, status: 'ACTIVE' },
        ...{ settings: {}, createdAt: clock.now(), updatedAt: clock.now() },
      });
      const driver = drive.definition.create({ id: accountId, settings: {} }, undefined as never);
      const state = { refusal: null as Error | null, driver };
      const accounts = {
        openForUser: async () => {
          if (state.refusal) throw state.refusal;
          return { driver: state.driver } as never;
        },
      };
      const process = () =>
        new OfflineFollower({ storage: database.storage, accounts, records, sync, events: bus, clock, log });
      const follower = process();
      const begin = async (url = `https://files.example/${newId()}.bin`): Promise<string> => {
        const [added] = (await driver.offline?.add?.([url], 'root', call)) ?? [];
        const task = added?.task ?? assert.fail();
        await database.storage.transaction((em) =>
          records.begin(em, ownerId, accountId, [{ task, url, attached: false }]),
        );
        await follower.follow(accountId);
        drive.calls.length = 0;
        return task.ref;
      };
      const pass = async (milliseconds: number, by = follower): Promise<number> => {
        drive.calls.length = 0;
        clock.advance(milliseconds);
        await by.look();
        return drive.calls.filter((act) => act === 'offline.list' || act === 'offline.stat').length;
      };
      const row = async (ref: string): Promise<OfflineTask | undefined> =>
        (await records.find(accountId, [ref])).get(ref);
      const plan = (): Promise<OfflineFollow | null> =>
        database.storage.fork().findOne(OfflineFollow, { accountId }, { connectionType: 'write' });
      /** How long until the next question, in milliseconds; null: none is planned. */
      const wait = async (): Promise<number | null> => {
        const at = (await plan())?.pollAt ?? null;
        return at && at.getTime() - clock.now().getTime();
      };
      return { accountId, drive, state, process, follower, begin, pass, row, plan, wait };
    }
    const call = { signal: new AbortController().signal };
    const down = (more: object = {}) =>
      new DriveError('unavailable', 'The provider is down.', { provider: 'NETDISK', retryable: false, ...more });

    it('by one list for all tasks of an account, until the last has ended', async () => {
      const { drive, begin, pass, row, wait } = await bench();
      const refs = [await begin(), await begin(), await begin()];
      assert.equal(await wait(), POLL_MIN_MS);
      drive.offline.change(refs[0] ?? '', { percentDone: 12.345 });
      assert.equal(await pass(POLL_MIN_MS), 1);
      assert.equal((await row(refs[0] ?? ''))?.progress, 1235);
      assert.deepEqual(
        told.map(({ taskId }) => taskId),
        [refs[0]],
      );
      for (const ref of refs) drive.offline.change(ref, { state: 'FAILED', percentDone: 0 });
      assert.equal(await pass(POLL_MAX_MS), 1);
      assert.equal(await wait(), null);
      assert.equal(await pass(10 * POLL_MAX_MS), 0);
    });

    it('less and less often while nothing changes, and closely again when something does', async () => {
      const { drive, begin, pass, wait } = await bench();
      const ref = await begin();
      let before = (await wait()) ?? 0;
      for (let count = 0; count < 15; count += 1) {
        assert.equal(await pass(before), 1);
        const after = (await wait()) ?? 0;
        assert.ok(after > before || after === POLL_MAX_MS, `${after} after ${before}`);
        before = after;
      }
      assert.equal(before, POLL_MAX_MS);
      drive.offline.change(ref, { state: 'PENDING' });
      await pass(before);
      assert.equal(await wait(), POLL_MIN_MS);
    });

    it('closely as long as somebody sees the progress; else progress alone is not worth it', async () => {
      const { accountId, drive, begin, pass, wait, follower } = await bench();
      const ref = await begin();
      drive.offline.change(ref, { percentDone: 1 });
      await pass(POLL_MIN_MS);
      assert.ok(((await wait()) ?? 0) > POLL_MIN_MS);
      const end = await follower.watch(accountId);
      drive.offline.change(ref, { percentDone: 2 });
      await pass((await wait()) ?? 0);
      assert.equal(await wait(), POLL_MIN_MS);
      for (let count = 0; count < 12; count += 1) await pass((await wait()) ?? 0);
      assert.equal(await wait(), POLL_WATCHED_MAX_MS);
      end();
      clock.advance(WATCH_MS);
      await pass(0);
      await pass((await wait()) ?? 0);
      assert.ok(((await wait()) ?? 0) > POLL_WATCHED_MAX_MS);
    });

    it('also those begun elsewhere, but only while somebody looks on', async () => {
      const { accountId, drive, begin, pass, row, wait, follower } = await bench();
      const mine = await begin();
      const task = drive.offline.tasks.get(mine) ?? assert.fail();
      drive.offline.tasks.set('elsewhere', { ...task, ref: 'elsewhere', url: null });
      drive.offline.tasks.set('long done', { ...task, ref: 'long done', state: 'SUCCEEDED' });
      await pass(POLL_MIN_MS);
      assert.equal((await row('elsewhere'))?.userId ?? null, null);
      assert.equal((await row('elsewhere'))?.state, 'RUNNING');
      assert.equal(await row('long done'), undefined);
      drive.offline.change(mine, { state: 'FAILED' });
      await pass(POLL_MIN_MS);
      assert.equal(await wait(), null, 'nobody here has a task that runs');
      const end = await follower.watch(accountId);
      await follower.follow(accountId);
      assert.equal(await pass(POLL_MIN_MS), 1);
      assert.notEqual(await wait(), null);
      end();
      await pass(WATCH_MS);
      assert.equal(await wait(), null);
    });

    it('to what came of them, which is announced in its folder', async () => {
      const { accountId, drive, begin, pass, row } = await bench();
      drive.put('/film.mkv');
      const ref = await begin();
      const elsewhere = drive.definition.create({ id: '', settings: {} }, undefined as never);
      const { items } = await listing(elsewhere)('root', {}, { cursor: null, limit: 10 }, call);
      const entry = items[0] ?? assert.fail();
      drive.offline.change(ref, { state: 'SUCCEEDED', percentDone: 100, entryRef: entry.ref });
      await pass(POLL_MIN_MS);
      assert.equal((await row(ref))?.entryRef, entry.ref);
      const at = clock.now().toISOString();
      assert.deepEqual(entries, [
        {
          accountId,
          folderRefs: ['root'],
          kind: 'CREATED',
          entryRef: entry.ref,
          entryKind: 'FILE',
          path: '/film.mkv',
          at,
        },
      ]);
      assert.deepEqual(told, [{ accountId, taskId: ref }]);
    });

    it('and what came of them is looked for in the folder, where the provider does not tell', async () => {
      const stat = { acts: ['offline'], offlineActs: ['add', 'stat'], timeless: true } as const;
      const { drive, begin, pass, row } = await bench(memoryDrive(stat));
      const found = await begin('https://files.example/film.mkv');
      const renamed = await begin('https://files.example/other.mkv');
      drive.put('/film.mkv', '/another name.mkv');
      for (const ref of [found, renamed]) drive.offline.change(ref, { state: 'SUCCEEDED', percentDone: 100 });
      assert.equal(await pass(POLL_MIN_MS), 2);
      assert.match((await row(found))?.entryRef ?? '', /film\.mkv/);
      assert.equal((await row(renamed))?.entryRef ?? null, null, 'no guess');
      assert.deepEqual(
        entries.map(({ path }) => path),
        ['/film.mkv'],
      );
    });

    it('and one that stood in the folder before is not what came of them', async () => {
      // The drive's entries are of a time long ago.
      const { drive, begin, pass, row } = await bench(memoryDrive({ acts: ['offline'], offlineActs: ['add', 'stat'] }));
      const ref = await begin('https://files.example/film.mkv');
      drive.put('/film.mkv');
      drive.offline.change(ref, { state: 'SUCCEEDED', percentDone: 100 });
      await pass(POLL_MIN_MS);
      assert.equal((await row(ref))?.entryRef ?? null, null);
    });

    it('by one process at a time', async () => {
      const { state, drive, process, begin, pass, follower } = await bench();
      await begin();
      const gate = Promise.withResolvers<void>();
      const reached = Promise.withResolvers<void>();
      state.driver = slowed(state.driver, async () => {
        reached.resolve();
        await gate.promise;
      });
      clock.advance(POLL_MIN_MS);
      const first = follower.look();
      await reached.promise;
      const other = process();
      await other.look();
      assert.equal(await pass(LEASE_MS - 1, other), 0, 'due or not, it is being asked');
      gate.resolve();
      await first;
      assert.equal(drive.calls.length, 1);
      const others = await Promise.all([pass(POLL_MAX_MS, other), pass(0, follower)]);
      assert.equal(Math.max(...others), 1);
    });

    it('by the next process, when one dies while it asks', async () => {
      const { accountId, process, begin, pass } = await bench();
      await begin();
      clock.advance(POLL_MIN_MS);
      const leaseUntil = new Date(clock.now().getTime() + LEASE_MS);
      await database.storage.fork().nativeUpdate(OfflineFollow, { accountId }, { leaseOwner: newId(), leaseUntil });
      const next = process();
      assert.equal(await pass(LEASE_MS - 1, next), 0);
      assert.equal(await pass(1, next), 1);
    });

    it('by the next process at once, when one is shut down while it asks', async () => {
      const { state, process, begin, pass, follower, plan } = await bench();
      await begin();
      const reached = Promise.withResolvers<void>();
      const asked = state.driver;
      state.driver = slowed(asked, (signal) => {
        reached.resolve();
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(down())));
      });
      clock.advance(POLL_MIN_MS);
      const look = follower.look();
      await reached.promise;
      await follower.close();
      await look;
      assert.equal((await plan())?.leaseUntil ?? null, null);
      state.driver = asked;
      assert.equal(await pass(0, process()), 1);
    });

    it('soon, when a task is begun while another process asks', async () => {
      const { accountId, state, begin, follower, wait } = await bench();
      await begin();
      for (let count = 0; count < 5; count += 1) {
        clock.advance((await wait()) ?? 0);
        await follower.look();
      }
      const reached = Promise.withResolvers<void>();
      const gate = Promise.withResolvers<void>();
      state.driver = slowed(state.driver, async () => {
        reached.resolve();
        await gate.promise;
      });
      clock.advance((await wait()) ?? 0);
      await database.storage.fork().nativeUpdate(OfflineFollow, { accountId }, { intervalMs: POLL_MAX_MS });
      const look = follower.look();
      await reached.promise;
      // Its plan is due already: a wish that comes now is met by what is being asked, or right after it.
      await database.storage
        .fork()
        .nativeUpdate(OfflineFollow, { accountId }, { pollAt: new Date(clock.now().getTime() + 1) });
      gate.resolve();
      await look;
      assert.equal(await wait(), 1);
    });

    it('later, and never sooner than it says, while the provider is down or throttles', async () => {
      const { drive, begin, pass, row, wait } = await bench();
      const ref = await begin();
      drive.fail('offline.list', down());
      assert.equal(await pass(POLL_MIN_MS), 1);
      assert.equal(await wait(), 2 * POLL_MIN_MS);
      drive.fail(
        'offline.list',
        new DriveError('rate_limited', 'Slower.', { provider: 'NETDISK', retryAfterMs: 3_600_000 }),
      );
      await pass(2 * POLL_MIN_MS);
      assert.equal(await wait(), 3_600_000);
      drive.fail('offline.list', new DriveError('blocked', 'Risk control.', { provider: 'NETDISK' }));
      await pass(3_600_000);
      assert.equal(await wait(), PARKED_MS);
      assert.equal((await row(ref))?.state, 'RUNNING', 'a list that fails is no empty one');
      drive.mend();
      assert.equal(await pass(PARKED_MS), 1);
    });

    it('not while the account needs its person, and at once when it works again', async () => {
      const { accountId, state, begin, pass, wait, follower } = await bench();
      await begin();
      state.refusal = new ReauthorizationRequiredError('Link it again.', accountId);
      assert.equal(await pass(POLL_MIN_MS), 0);
      assert.equal(await wait(), PARKED_MS);
      assert.equal(await pass(PARKED_MS / 2), 0);
      state.refusal = null;
      follower.start();
      await bus.publish('account.changed', { accountId });
      await followed(async () => (await wait()) === POLL_MIN_MS);
      assert.equal(await pass(POLL_MIN_MS), 1);
      await follower.close();
    });

    it('through a bug of a driver, which is logged', async () => {
      const { drive, begin, pass, wait } = await bench();
      await begin();
      drive.fail('offline.list', new TypeError('a bug'));
      await pass(POLL_MIN_MS);
      assert.equal(await wait(), 2 * POLL_MIN_MS);
      assert.ok(lines.some(({ level }) => level === 50));
    });

    it('until they are gone from the provider’s list, but for those it may not list yet', async () => {
      const { drive, begin, pass, row, wait } = await bench();
      const [gone, stays] = [await begin(), await begin()];
      drive.offline.tasks.delete(gone);
      await pass(POLL_MIN_MS);
      assert.ok(await row(gone), 'it was begun just now');
      await pass(UNKNOWN_GRACE_MS);
      assert.equal(await row(gone), undefined);
      assert.ok(await row(stays));
      drive.offline.tasks.delete(stays);
      await pass((await wait()) ?? 0);
      assert.equal(await wait(), null);
    });

    it('until the provider no longer knows them, where it has no list', async () => {
      const { drive, begin, pass, row, wait } = await bench(
        memoryDrive({ acts: ['offline'], offlineActs: ['add', 'stat'] }),
      );
      const ref = await begin();
      drive.offline.tasks.delete(ref);
      await pass(POLL_MIN_MS);
      assert.equal((await row(ref))?.state, 'RUNNING');
      await pass(UNKNOWN_GRACE_MS);
      const { state, failure } = (await row(ref)) ?? assert.fail();
      assert.deepEqual([state, failure?.message], ['FAILED', 'The provider no longer knows this task.']);
      assert.equal(await wait(), null);
      assert.deepEqual(
        told.map(({ taskId }) => taskId),
        [ref],
      );
    });

    it('not at all where the provider tells nothing of them', async () => {
      const { begin, pass, wait } = await bench(memoryDrive({ acts: ['offline'], offlineActs: ['add'] }));
      await begin();
      assert.equal(await pass(POLL_MIN_MS), 0);
      assert.equal(await wait(), null);
    });

    it('and what is followed no more is removed, what is not stays', async () => {
      const { accountId, begin, pass, drive, follower, plan } = await bench();
      const ref = await begin();
      await follower.sweep();
      assert.ok(await plan());
      drive.offline.change(ref, { state: 'FAILED' });
      await pass(POLL_MIN_MS);
      const end = await follower.watch(accountId);
      await follower.sweep();
      assert.ok(await plan());
      end();
      clock.advance(WATCH_MS);
      await follower.sweep();
      assert.equal(await plan(), null);
    });

    /** Listeners of the bus are not waited for. */
    async function followed(isSo: () => Promise<boolean>): Promise<void> {
      while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve));
    }
  });
}

/** The driver whose list waits for something first. */
function slowed(driver: Driver, wait: (signal: AbortSignal) => Promise<unknown>): Driver {
  const { offline } = driver;
  if (!offline?.list) throw new TypeError('there is no list to slow down');
  const list = offline.list.bind(offline);
  return {
    ...driver,
    offline: {
      ...offline,
      list: async (page, call) => {
        await wait(call.signal);
        return list(page, call);
      },
    },
  };
}
