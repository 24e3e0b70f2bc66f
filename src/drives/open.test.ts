import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ABILITIES, abilitiesOf } from './abilities.ts';
import type { RenameResult, Renaming } from './contract/renaming.ts';
import type { CallContext, DriveDefinition, DriveEntry, Driver } from './driver.ts';
import { DriveError } from './errors.ts';
import type { DriveAuditRecord } from './layers/audit.ts';
import type { DriveMeasurement } from './layers/metrics.ts';
import { type DriveSinks, openDrive } from './open.ts';
import { DRIVES, findDrive } from './registry.ts';

const call: CallContext = { signal: new AbortController().signal };
const ENTRY: DriveEntry = {
  ref: 'e',
  kind: 'FOLDER',
  name: 'e',
  parentRef: 'root',
  path: null,
  sizeBytes: null,
  createdAt: null,
  modifiedAt: null,
  revision: null,
  mimeType: null,
  category: null,
  hashes: {},
  deletedAt: null,
};

describe('an open drive', () => {
  it('has every act of the driver, those of its facets too, and no other', async () => {
    const { drive } = open();
    assert.deepEqual(shapeOf(drive.driver), shapeOf(new SmallDriver()));
    assert.equal(drive.driver.rename, undefined);
    assert.equal(drive.driver.rootRef, 'root');
    assert.equal(drive.driver.capabilities.listPageMax, 10);
    assert.equal(drive.driver.upload?.concurrency, 3);
  });

  it('passes arguments and results through, by method and by name', async () => {
    const { drive } = open();
    assert.equal((await drive.driver.stat('a', call)).name, 'stat of a');
    assert.equal((await drive.run('stat', 'b', call)).name, 'stat of b');
    assert.equal((await drive.run('recycleBin.restore', 'c', call)).name, 'restore of c');
    const restore = drive.driver.recycleBin?.restore;
    assert.equal((await restore?.('d', call))?.name, 'restore of d');
  });

  it('has the abilities of its acts', () => {
    const { drive } = open();
    assert.deepEqual(
      [...drive.abilities].toSorted(),
      [
        'CREATE_FOLDER',
        'LIST',
        'READ',
        'RECYCLE_LIST',
        'RECYCLE_RESTORE',
        'UPLOAD',
        'RESUMABLE_UPLOAD',
        'INSTANT_UPLOAD',
      ].toSorted(),
    );
  });

  it('refuses what the driver cannot do before anything happens, and says which ability is missing', async () => {
    const { drive, acts } = open();
    await assert.rejects(drive.run('rename', 'a', 'b', {}, call), {
      category: 'unsupported',
      ability: 'RENAME',
      operation: 'rename',
    });
    await assert.rejects(drive.run('recycleBin.empty', call), { category: 'unsupported', ability: 'RECYCLE_PURGE' });
    await assert.rejects(drive.run('offline.add', ['x:y'], null, call), { ability: 'OFFLINE_ADD' });
    await assert.rejects(drive.run('usage', call), { category: 'unsupported', ability: null });
    assert.deepEqual(acts, []);
  });

  it('measures every act, also one that is refused', async () => {
    const { drive, measured } = open();
    await drive.run('stat', 'a', call);
    await assert.rejects(drive.run('rename', 'a', 'b', {}, call));
    await assert.rejects(drive.run('stat', 'broken', call));
    await assert.rejects(drive.run('stat', 'bug', call), TypeError);
    assert.deepEqual(
      measured.map(({ operation, outcome }) => [operation, outcome]),
      [
        ['stat', 'ok'],
        ['rename', 'unsupported'],
        ['stat', 'unavailable'],
        ['stat', 'bug'],
      ],
    );
    assert.ok(measured.every(({ durationMs, provider }) => durationMs >= 0 && provider === 'LOCAL'));
  });

  it('records every change that was tried, and no look', async () => {
    const { drive, audited } = open();
    await drive.run('stat', 'a', call);
    await drive.run('createFolder', 'parent', 'name', call);
    await drive.run('recycleBin.restore', 'r', call);
    await assert.rejects(drive.run('rename', 'a', 'b', {}, call));
    await assert.rejects(
      drive.run('shares.create', ['s1', 's2'], { days: 1, password: 'secret', remark: null, ticket: null }, call),
    );
    await assert.rejects(drive.run('offline.add', ['https://u:secret@file.example/'], null, call));
    assert.deepEqual(
      audited.map(({ operation, target, outcome }) => [operation, target, outcome]),
      [
        ['createFolder', 'parent', 'ok'],
        ['recycleBin.restore', 'r', 'ok'],
        ['rename', 'a', 'unsupported'],
        ['shares.create', 's1 s2', 'unsupported'],
        ['offline.add', null, 'unsupported'],
      ],
    );
    assert.ok(!JSON.stringify(audited).includes('secret'));
    assert.ok(audited.every(({ accountId }) => accountId === 'account'));
  });

  it('records each of several renames by itself, as it ended', async () => {
    const { drive, audited } = open({}, (log) => new RenamingDriver(log));
    await drive.run(
      'renameMany',
      [
        { ref: 'a', name: 'x' },
        { ref: 'b', name: 'taken' },
      ],
      call,
    );
    await assert.rejects(
      drive.run(
        'renameMany',
        [
          { ref: 'broken', name: 'x' },
          { ref: 'c', name: 'y' },
        ],
        call,
      ),
    );
    assert.deepEqual(
      audited.map(({ operation, target, outcome }) => [operation, target, outcome]),
      [
        ['rename', 'a', 'ok'],
        ['rename', 'b', 'already_exists'],
        ['rename', 'broken', 'unavailable'],
        ['rename', 'c', 'unavailable'],
      ],
    );
  });

  it('names the act in the driver’s error, and keeps the rest of it', async () => {
    const { drive } = open();
    await assert.rejects(drive.run('stat', 'broken', call), (error) => {
      assert.ok(error instanceof DriveError);
      assert.equal(error.operation, 'stat');
      assert.equal(error.category, 'unavailable');
      assert.equal(error.retryAfterMs, 1000);
      assert.equal(error.providerCode, '31034');
      assert.ok(error.cause instanceof DriveError);
      return true;
    });
  });

  it('has its deadline inside the other layers', async () => {
    const { drive, measured } = open({ deadlineMsOf: () => 1 });
    await assert.rejects(drive.run('stat', 'never', call), { category: 'timeout' });
    assert.deepEqual(
      measured.map(({ outcome }) => outcome),
      ['timeout'],
    );
  });

  it('does not go on without a call context', async () => {
    const { drive } = open();
    const stat = drive.driver.stat as (...args: unknown[]) => Promise<unknown>;
    assert.throws(() => stat('a'), /without its call context/);
  });
});

describe('the registry', () => {
  it('finds a drive by its provider', () => {
    for (const definition of DRIVES) assert.equal(findDrive(definition.id), definition);
    assert.equal(findDrive('NOWHERE'), null);
  });

  it('names each drive once', () => {
    assert.equal(new Set(DRIVES.map(({ id }) => id)).size, DRIVES.length);
  });
});

it('an ability without an act in the contract would never be had', () => {
  // One driver with every act that abilities know: a misspelt path would be missing here.
  const everything: Record<string, unknown> = {};
  for (const [facet, acts] of Object.entries(ALL_ACTS))
    everything[facet] = acts === null ? async () => {} : Object.fromEntries(acts.map((name) => [name, async () => {}]));
  assert.deepEqual([...abilitiesOf(everything as unknown as Driver)].toSorted(), [...ABILITIES].toSorted());
});

const ALL_ACTS: Readonly<Record<string, readonly string[] | null>> = {
  list: null,
  read: null,
  listRecursive: null,
  listByCategory: null,
  searchByName: null,
  searchByMeaning: null,
  createFolder: null,
  rename: null,
  move: null,
  copy: null,
  remove: null,
  changes: null,
  instantUpload: null,
  link: null,
  recycleBin: ['list', 'restore', 'purge'],
  upload: ['begin', 'putSlice', 'complete', 'abort'],
  shares: ['create', 'list', 'update', 'cancel', 'save'],
  offline: ['add', 'addTorrent', 'list', 'cancel', 'clear', 'allowance'],
  media: ['thumbnails', 'preview', 'playlist', 'info', 'lists', 'transcode', 'progress'],
};

function open(sinks: DriveSinks = {}, create = (log: string[]): Driver => new SmallDriver(log)) {
  const acts: string[] = [];
  const measured: DriveMeasurement[] = [];
  const audited: DriveAuditRecord[] = [];
  const definition: DriveDefinition<string[]> = {
    id: 'LOCAL',
    title: 'Small',
    linkMethods: [],
    settings: [],
    errorCodes: [],
    create: (_account, log) => create(log),
  };
  const drive = openDrive(definition, { id: 'account', settings: {} }, acts, {
    metrics: (measurement) => void measured.push(measurement),
    audit: (record) => void audited.push(record),
    ...sinks,
  });
  return { drive, acts, measured, audited };
}

/** A driver as a class, with private state that only works when acts keep their `this`. */
class SmallDriver implements Driver {
  readonly #log: string[];
  readonly rootRef = 'root';
  readonly capabilities = {
    nameBytesMax: 1,
    caseSensitive: true,
    fileBytesMax: null,
    listPageMax: 10,
    hashes: [],
    sorts: [],
  };
  readonly recycleBin = {
    list: async () => ({ items: [], nextCursor: null, totalCount: null }),
    restore: (ref: string) => this.#entry(`restore of ${ref}`),
  };
  readonly upload = {
    concurrency: 3,
    instantHashes: ['MD5' as const],
    begin: async () => ({ instant: ENTRY }),
    putSlice: async () => ({ index: 0, state: null }),
    complete: async () => ENTRY,
    abort: async () => {},
  };

  constructor(log: string[] = []) {
    this.#log = log;
  }

  async list() {
    return { items: [], nextCursor: null, totalCount: null };
  }

  async stat(ref: string): Promise<DriveEntry> {
    if (ref === 'never') return new Promise(() => {});
    if (ref === 'bug') throw new TypeError('a bug');
    if (ref === 'broken')
      throw new DriveError('unavailable', 'broken', { provider: 'LOCAL', retryAfterMs: 1000, providerCode: '31034' });
    return this.#entry(`stat of ${ref}`);
  }

  async read(): Promise<never> {
    throw new Error('not here');
  }

  createFolder(_parentRef: string, name: string): Promise<DriveEntry> {
    return this.#entry(name);
  }

  async #entry(name: string): Promise<DriveEntry> {
    this.#log.push(name);
    return { ...ENTRY, name };
  }
}

/** The paths of all functions and values of a driver. */
function shapeOf(driver: object, prefix = ''): string[] {
  const names = new Set<string>();
  for (let part: object | null = driver; part && part !== Object.prototype; part = Object.getPrototypeOf(part))
    for (const name of Object.getOwnPropertyNames(part)) if (name !== 'constructor') names.add(name);
  return [...names]
    .flatMap((name) => {
      const value: unknown = Reflect.get(driver, name);
      const nested = typeof value === 'object' && value !== null && !Array.isArray(value);
      return nested ? shapeOf(value, `${prefix}${name}.`) : [`${prefix}${name}: ${typeof value}`];
    })
    .toSorted();
}

/** The same, which renames several at once. */
class RenamingDriver extends SmallDriver {
  async renameMany(renamings: readonly Renaming[]): Promise<readonly RenameResult[]> {
    await this.stat(renamings[0]?.ref ?? '');
    return renamings.map(({ name }) =>
      name === 'taken'
        ? { entry: null, error: new DriveError('already_exists', 'taken', { provider: 'LOCAL' }) }
        : { entry: { ...ENTRY, name }, error: null },
    );
  }
}
