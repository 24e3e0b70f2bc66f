import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createLog } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import { openStorage, type Storage } from './orm.ts';
import { keepStatements } from './statements.ts';

describe('kept statements', () => {
  let storage: Storage;

  before(async () => {
    storage = await openStorage({ url: new Secret('sqlite::memory:'), log: createLog({ level: 'silent' }) });
  });
  after(() => storage.close());

  it('are prepared once, and give each time what was asked', () => {
    const prepared: string[] = [];
    const database = {
      prepare: (sql: string) => {
        prepared.push(sql);
        return { sql };
      },
    };
    keepStatements(database);
    assert.equal(database.prepare('select 1'), database.prepare('select 1'));
    assert.deepEqual(database.prepare('select 2'), { sql: 'select 2' });
    assert.deepEqual(prepared, ['select 1', 'select 2']);
  });

  it('run with other values each time', async () => {
    const em = storage.fork();
    const sums = await Promise.all([1, 2, 3].map((value) => em.execute('select ? + 1 as sum', [value])));
    assert.deepEqual(sums, [[{ sum: 2 }], [{ sum: 3 }], [{ sum: 4 }]]);
  });

  it('see a column that came after them', async () => {
    const em = storage.fork();
    await em.execute('create table grows (a integer)', [], 'run');
    await em.execute('insert into grows values (1)', [], 'run');
    assert.deepEqual(await em.execute('select * from grows'), [{ a: 1 }]);
    await em.execute('alter table grows add column b integer default 2', [], 'run');
    assert.deepEqual(await em.execute('select * from grows'), [{ a: 1, b: 2 }]);
  });

  it('work on after a failure', async () => {
    const em = storage.fork();
    const insert = 'insert into once values (?)';
    await em.execute('create table once (a integer primary key)', [], 'run');
    await em.execute(insert, [1], 'run');
    await assert.rejects(em.execute(insert, [1], 'run'));
    await em.execute(insert, [2], 'run');
    assert.deepEqual(await em.execute('select a from once'), [{ a: 1 }, { a: 2 }]);
  });
});
