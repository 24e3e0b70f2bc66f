import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AuditRecord } from '../../src/storage/entities/operations.ts';
import { Transfer } from '../../src/storage/entities/transfer.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { createApiKey, type Person, registerUser } from '../support/people.ts';
import { bytesOf, importServerFile, namesOf, settled, uploadText } from '../support/uploads.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

describe('files of the server', { timeout: 60_000 }, () => {
  let app: TestApp;
  let admin: Person;
  let user: Person;
  let folder: string;
  const bytes = randomBytes(2_500_000);
  const at = (name: string): string => join(folder, 'media', name);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'panql-import-'));
    await mkdir(at(''));
    await writeFile(at('film.mkv'), bytes);
    await writeFile(at('empty'), '');
    await writeFile(join(folder, 'secret'), 'secret');
    await symlink('../secret', at('link'));
    app = await startTestApp({ settings: { IMPORT_DIRS: `${at('')},/not/there` } });
    admin = await registerUser(app);
    user = await registerUser(app);
  });
  after(async () => {
    await app.close();
    await rm(folder, { recursive: true });
  });

  const imported = async (input: object, who = admin): Promise<Answer> => {
    const begun = await importServerFile(app, who, input);
    assert.equal(begun.__typename, 'ImportServerFilePayload', JSON.stringify(begun));
    return settled(app, who, begun.transfer.id);
  };

  it('come into a folder of the administrator, and stay where they are', async () => {
    const done = await imported({ path: at('film.mkv') });
    assert.deepEqual(
      [done.kind, done.state, done.bytesTotal],
      ['IMPORT', 'SUCCEEDED', bytes.length],
      JSON.stringify(done),
    );
    assert.equal(done.entry.name, 'film.mkv');
    assert.deepEqual(await bytesOf(app, admin, '/film.mkv'), bytes);
    assert.deepEqual((await readdir(at(''))).toSorted(), ['empty', 'film.mkv', 'link']);
    const empty = await imported({ path: at('empty'), name: 'other name' });
    assert.deepEqual([empty.state, empty.entry.name, empty.entry.size], ['SUCCEEDED', 'other name', 0]);
    const record = await app.app.storage.fork().findOne(AuditRecord, { action: 'serverFile.import' });
    assert.deepEqual([record?.userId, record?.detail.path], [admin.userId, at('film.mkv')]);
  });

  it('meet a name that is taken by the policy that was asked for', async () => {
    await uploadText(app, admin, { name: 'taken', content: 'old' });
    const refused = await importServerFile(app, admin, { path: at('film.mkv'), name: 'taken' });
    assert.equal(refused.code, 'ALREADY_EXISTS');
    const renamed = await imported({ path: at('film.mkv'), name: 'taken', onConflict: 'RENAME' });
    assert.equal(renamed.entry.name, 'taken (2)');
  });

  it('are nothing for anybody but administrators', async () => {
    for (const path of [at('film.mkv'), at('nothing'), '/etc/passwd', 'x']) {
      assert.equal((await importServerFile(app, user, { path })).code, 'PERMISSION_DENIED', path);
    }
    for (const scopes of [['WRITE'], ['ADMIN'], ['READ']]) {
      const { secret } = await createApiKey(app, admin.token, scopes);
      const refused = await importServerFile(app, { ...admin, token: secret }, { path: at('film.mkv') });
      assert.equal(refused.code, 'PERMISSION_DENIED', scopes.join());
    }
    const { secret } = await createApiKey(app, admin.token, ['WRITE', 'ADMIN', 'READ']);
    await imported({ path: at('film.mkv'), name: 'by key' }, { ...admin, token: secret });
    assert.deepEqual(await namesOf(app, user), []);
  });

  for (const [path, code] of [
    [() => join(folder, 'secret'), 'PERMISSION_DENIED'],
    [() => '/etc/passwd', 'PERMISSION_DENIED'],
    [() => at('link'), 'PERMISSION_DENIED'],
    [() => `${at('')}/../secret`, 'INVALID_INPUT'],
    [() => 'film.mkv', 'INVALID_INPUT'],
    [() => at('nothing'), 'NOT_FOUND'],
    [() => at('%2e%2e/secret'), 'NOT_FOUND'],
  ] as const) {
    it(`${path} is ${code}`, async () => {
      const before = await app.app.storage.fork().count(Transfer);
      const refused = await importServerFile(app, admin, { path: path() });
      assert.equal(refused.code, code, JSON.stringify(refused));
      assert.ok(!refused.message.includes(folder));
      assert.equal(await app.app.storage.fork().count(Transfer), before);
    });
  }

  it('are imported once for one key', async () => {
    const input = { path: at('empty'), name: 'once', idempotencyKey: randomUUID() };
    const begun = await Promise.all(Array.from({ length: 20 }, () => importServerFile(app, admin, input)));
    assert.equal(new Set(begun.map(({ transfer }) => transfer.id)).size, 1);
    const [{ transfer }] = begun as [Answer];
    assert.equal((await settled(app, admin, transfer.id)).state, 'SUCCEEDED');
    assert.equal((await importServerFile(app, admin, { ...input, name: 'other' })).code, 'CONFLICT');
  });
});
