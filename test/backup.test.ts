import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, readdir, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { uncancelled } from '../src/services/entries.ts';
import { startTestApp, type TestApp } from './support/app.ts';
import { purgeFile, putFile } from './support/files.ts';
import { identify, type Person, registerUser, whoIs } from './support/people.ts';
import { temporaryFolder } from './support/process.ts';
import { bytesOf, namesOf, patch, settled, startUpload, tus, uploadText } from './support/uploads.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** Not spawnSync: the server that is backed up runs in this process. */
async function backUp(target: string | undefined, settings: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [MAIN, 'backup', ...(target === undefined ? [] : [target])], {
    env: { PATH: process.env.PATH, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [status] = (await ended) as [number];
  return { status, stdout, stderr };
}

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);

describe('a backup', { timeout: 170_000 }, () => {
  it('beside a server at work has every file that its database names, and a server goes on from it', async (t) => {
    const dataDir = await temporaryFolder(t);
    const target = join(await temporaryFolder(t), 'deep', 'backup');
    const app = await startTestApp({ dataDir });
    t.after(() => app.close());
    const person = await registerUser(app);
    const bytes = randomBytes(300_000);
    await putFile(app, person, 'kept.bin', bytes);
    const half = await startUpload(app, person, { name: 'half.bin', size: 4 });
    await patch(half.uploadUrl, 0, Buffer.from('ab'));

    // Until the backups are done, files come and go.
    let done = false;
    const busy = (async () => {
      for (let round = 0; !done; round += 1) {
        const file = await putFile(app, person, `busy-${round}`, randomBytes(20_000));
        if (round % 2) await purgeFile(app, person, file);
        await uploadText(app, person, { name: `text-${round}`, content: `text ${round}` });
      }
    })();
    try {
      for (let times = 0; times < 2; times += 1) {
        const { status, stdout, stderr } = await backUp(target, { DATA_DIR: dataDir });
        assert.equal(status, 0, stderr);
        assert.match(stdout, /The backup is in .*DATA_DIR=/s);
        await assertRestores(target, person, bytes);
      }
    } finally {
      done = true;
    }
    await busy;
    assert.deepEqual(
      (await filesIn(target)).filter((name) => name.includes('unfinished')),
      [],
    );
    assert.equal((await stat(join(target, 'panql.sqlite'))).mode & 0o777, 0o600);

    /** On a copy, as the next backup goes to the same folder. */
    async function assertRestores(from: string, { username, password, token }: Person, expected: Buffer) {
      const restored = await temporaryFolder(t);
      await cp(from, restored, { recursive: true });
      const again = await startTestApp({ dataDir: restored });
      assert.equal(await whoIs(again, token), username, 'the development keys are in it');
      assert.equal((await identify(again, 'login', { username, password })).__typename, 'LoginPayload');
      assert.deepEqual(await bytesOf(again, person, '/kept.bin'), expected);
      for (const name of await namesOf(again, person)) assert.ok(await bytesOf(again, person, `/${name}`), name);
      const url = again.url + new URL(half.uploadUrl).pathname;
      assert.equal((await tus('HEAD', url)).headers.get('upload-offset'), '0', 'its bytes are sent again');
      await patch(url, 0, Buffer.from('abcd'));
      assert.equal((await settled(again, person, half.transfer.id)).state, 'SUCCEEDED');
      await again.close();
    }
  });

  it('to the same folder copies what is new, and drops what is gone', async (t) => {
    const dataDir = await temporaryFolder(t);
    const target = join(await temporaryFolder(t), 'backup');
    const app = await startTestApp({ dataDir });
    t.after(() => app.close());
    const person = await registerUser(app);
    await putFile(app, person, 'one', Buffer.from('one'));
    const two = await putFile(app, person, 'two', Buffer.from('two'));
    assert.match((await backUp(target, { DATA_DIR: dataDir })).stdout, / 2 files copied, 0 there already/);
    await purgeFile(app, person, two);
    await putFile(app, person, 'three', Buffer.from('three'));
    assert.match((await backUp(target, { DATA_DIR: dataDir })).stdout, / 1 files copied, 1 there already/);
    assert.equal((await filesIn(join(target, 'blobs'))).length, 2);
  });

  it('of damaged data fails, and leaves the one before', async (t) => {
    const dataDir = await temporaryFolder(t);
    const target = join(await temporaryFolder(t), 'backup');
    const app = await startTestApp({ dataDir });
    const person = await registerUser(app);
    await putFile(app, person, 'before', Buffer.from('before'));
    assert.equal((await backUp(target, { DATA_DIR: dataDir })).status, 0);
    const { entry } = await putFile(app, person, 'lost', Buffer.from('lost'));
    const hash = entry.hashes.SHA256 ?? '';
    await unlink(join(dataDir, 'blobs', hash.slice(0, 2), hash.slice(2, 4), hash));
    const failed = await backUp(target, { DATA_DIR: dataDir });
    assert.deepEqual([failed.status, failed.stdout], [1, '']);
    assert.match(failed.stderr, new RegExp(`${hash} is missing`));
    await app.close();
    const old: TestApp = await startTestApp({ dataDir: target });
    assert.deepEqual(await namesOf(old, person), ['before']);
    const { run } = await old.app.services.accounts.openForUser(person.userId, person.accountRowId);
    assert.ok(await run('stat', person.accountRowId, uncancelled()));
    await old.close();
  });

  it('says what is wrong with what it was given', async (t) => {
    const dataDir = await temporaryFolder(t);
    const other = await temporaryFolder(t);
    await writeFile(join(other, 'thesis.txt'), 'mine');
    const cases: readonly (readonly [string | undefined, Record<string, string>, RegExp])[] = [
      [undefined, {}, /Name the folder/],
      [join(dataDir, 'backup'), {}, /cannot be within the data folder/],
      [other, {}, /holds something else/],
      [join(other, 'thesis.txt'), {}, /cannot be read \(ENOTDIR\)/],
      [join(other, 'new'), {}, /There is no database at/],
      [join(other, 'new'), { DATABASE_URL: 'postgres://me@localhost/panql' }, /pg_dump/],
    ];
    for (const [target, settings, expected] of cases) {
      const { status, stderr } = await backUp(target, { DATA_DIR: dataDir, ...settings });
      assert.equal(status, 1);
      assert.match(stderr, expected);
      assert.doesNotMatch(stderr, /\n +at /);
    }
  });
});
