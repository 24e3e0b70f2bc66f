import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createLog } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import { openStorage, type Storage } from './orm.ts';
import { bind } from './sqlite.ts';

describe('values of a statement', () => {
  it('are bound, each item of a list at a place of its own', () => {
    const time = new Date(1_700_000_000_000);
    assert.deepEqual(bind('a = ? and b in (?) and c > ?', ['x', ['y', 2], time]), {
      sql: 'a = ? and b in (?, ?) and c > ?',
      values: ['x', 'y', 2n, 1_700_000_000_000n],
    });
    assert.deepEqual(bind('?, ?, ?, ?', [null, true, false, 0.5])?.values, [null, 1n, 0n, 0.5]);
    assert.deepEqual(bind('a in (?)', [[]]), { sql: 'a in ()', values: [] });
  });

  it('are left to the ORM where they are none that SQLite has', () => {
    for (const value of [{ json: true }, undefined, Number.NaN, new Date(Number.NaN), [['a', 'b']], Symbol('x')])
      assert.equal(bind('a = ?', [value]), null);
  });

  it('are left to the ORM where the places are others than question marks', () => {
    assert.equal(bind('select ?? from t where a = ?', ['name', 1]), null);
    assert.equal(bind("select '\\?', ?", [1]), null);
    assert.equal(bind('select 1', []), null);
    assert.equal(bind('a = ?', ['one', 'too many']), null);
  });

  it('are never too many for SQLite', () => {
    assert.equal(bind('a in (?)', [Array.from({ length: 40_000 }, (_, index) => index)]), null);
  });
});

describe('SQLite with bound values', () => {
  let storage: Storage;

  before(async () => {
    storage = await openStorage({ url: new Secret('sqlite::memory:'), log: createLog({ level: 'silent' }) });
    await storage.fork().execute('create table things (id integer primary key, name text, size integer, at datetime)');
  });
  after(() => storage.close());

  const all = (where: string, params: readonly unknown[]) =>
    storage.fork().execute(`select id from things where ${where} order by id`, [...params]);

  it('keeps what it was given, whatever is in it', async () => {
    const em = storage.fork();
    const names = ["it's", '?', '??', '\\?', '"', "'; drop table things; --", '名前', '', 'a\nb'];
    for (const [id, name] of names.entries())
      await em.execute('insert into things (id, name) values (?, ?)', [id, name]);
    const rows = await em.execute<{ name: string }[]>('select name from things order by id');
    assert.deepEqual(
      rows.map(({ name }) => name),
      names,
    );
    for (const [id, name] of names.entries()) assert.deepEqual(await all('name = ?', [name]), [{ id }]);
    assert.deepEqual(await all('name in (?) and id > ?', [["it's", '??'], 0]), [{ id: 2 }]);
  });

  it('keeps whole numbers whole, also large ones, and times as milliseconds', async () => {
    const em = storage.fork();
    const at = new Date(1_700_000_000_123);
    const size = Number.MAX_SAFE_INTEGER;
    await em.execute('insert into things (id, size, at) values (?, ?, ?)', [100, size, at]);
    const [row] = await em.execute(
      'select size, at, typeof(size) as kind, typeof(?) as bound from things where id = ?',
      [5, 100],
    );
    assert.deepEqual(row, { size, at: at.getTime(), kind: 'integer', bound: 'integer' });
    assert.deepEqual(await all('at >= ? and size = ?', [at, size]), [{ id: 100 }]);
  });

  it('binds in a transaction too, and tells how many rows it changed', async () => {
    const changed = await storage.transaction((em) =>
      em.execute('update things set size = ? where id = ?', [7, 100], 'run'),
    );
    assert.equal((changed as unknown as { affectedRows: number }).affectedRows, 1);
    await assert.rejects(
      storage.transaction(async (em) => {
        await em.execute('update things set size = ? where id = ?', [8, 100], 'run');
        throw new Error('never mind');
      }),
      /never mind/,
    );
    assert.deepEqual(await all('size = ?', [7]), [{ id: 100 }]);
  });
});
