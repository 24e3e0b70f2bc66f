import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newId } from '../lib/ids.ts';
import { Spool } from './spool.ts';

describe('the spool', () => {
  let folder: string;
  let spool: Spool;
  before(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'panql-spool-')), 'spool');
    spool = await Spool.open(folder);
  });
  after(() => rm(join(folder, '..'), { recursive: true }));

  test('bytes are written from an offset on, and what stood behind it is gone', async () => {
    const id = newId();
    await spool.put(id, [Buffer.from('first '), Buffer.from('and second')]);
    const writer = await spool.writer(id, 6);
    await writer.write([Buffer.from('t'), Buffer.alloc(0), Buffer.from('hen')]);
    assert.equal(writer.offset, 10);
    await writer.sync();
    await writer.close();
    assert.equal(String(await readFile(spool.path(id))), 'first then');
    assert.equal(await spool.size(id), 10);
  });

  test('many chunks at once are written whole and in order', async () => {
    const id = newId();
    const chunks = Array.from({ length: 2_000 }, () => randomBytes(37));
    const writer = await spool.writer(id, 0);
    await writer.write(chunks);
    await writer.close();
    assert.deepEqual(await readFile(spool.path(id)), Buffer.concat(chunks));
  });

  test('a range is read whole, or not at all', async () => {
    const id = newId();
    await spool.put(id, [Buffer.from('0123456789')]);
    assert.equal(String(await spool.read(id, { start: 3, length: 4 })), '3456');
    assert.equal((await spool.read(id, { start: 10, length: 0 })).length, 0);
    await assert.rejects(spool.read(id, { start: 8, length: 4 }), /ends 2 bytes before/);
  });

  test('a file that is not there has no size, and can be removed all the same', async () => {
    assert.equal(await spool.size(newId()), null);
    await spool.remove(newId());
  });

  test('only its own files are listed', async () => {
    const id = newId();
    await spool.put(id, []);
    await writeFile(join(folder, 'README.part'), '');
    await writeFile(join(folder, `${newId()}.tmp`), '');
    const listed = (await spool.parts()).map(({ transferId }) => transferId);
    assert.ok(listed.includes(id));
    assert.ok(!listed.includes('README'));
  });

  test('nothing but the id of a row becomes part of a path, and no link is followed', async () => {
    for (const id of ['', '..', '../x', 'a/b', '\0', 'x'.repeat(36)]) assert.throws(() => spool.path(id), /not the id/);
    const id = newId();
    await writeFile(join(folder, 'elsewhere'), 'untouched');
    await symlink(join(folder, 'elsewhere'), spool.path(id));
    await assert.rejects(spool.writer(id, 0), { code: 'ELOOP' });
    assert.equal(String(await readFile(join(folder, 'elsewhere'))), 'untouched');
  });

  test('nobody but the server reads it', { skip: process.platform === 'win32' && 'Windows has no modes' }, async () => {
    const id = newId();
    await spool.put(id, []);
    assert.equal((await stat(spool.path(id))).mode & 0o777, 0o600);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
  });

  test('it knows how much room there is', async () => {
    assert.deepEqual([await spool.hasRoom(1), await spool.hasRoom(Number.MAX_SAFE_INTEGER)], [true, false]);
  });
});
