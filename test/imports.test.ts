import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from './support/process.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Manifest {
  readonly name?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as Manifest;
const pinned = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });

describe('importing any module', () => {
  it('has no effect: nothing is said, written, listened to or kept open', async (t) => {
    const folder = await temporaryFolder(t);
    const { status, stdout, stderr } = spawnSync(process.execPath, [`${ROOT}test/support/import-all.ts`], {
      cwd: folder,
      env: { PATH: process.env.PATH },
      encoding: 'utf8',
      timeout: 60_000, // It ends by itself: what keeps it alive is an effect.
    });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '');
    assert.ok(Number(stdout) > 100, stdout); // Modules, and not a word of theirs.
    assert.deepEqual(readdirSync(folder), []);
  });
});

describe('packages', () => {
  it('there is one graphql at run time: errors of a second one would be masked as unknown', () => {
    const copies = globSync('node_modules/**/graphql/package.json', { cwd: ROOT }).filter(
      (file) => (JSON.parse(readFileSync(ROOT + file, 'utf8')) as Manifest).name === 'graphql',
    );
    assert.deepEqual(copies, ['node_modules/graphql/package.json']);
  });

  it('are pinned to one version each: the newest ones of a family often do not fit', () => {
    assert.deepEqual(
      pinned.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)),
      [],
    );
  });

  it('of MikroORM are all of one version', () => {
    const versions = new Set(pinned.filter(([name]) => name.startsWith('@mikro-orm/')).map(([, version]) => version));
    assert.equal(versions.size, 1, [...versions].join(', '));
  });

  it('have no graphql-armor, whose errors another graphql makes', () => {
    assert.doesNotMatch(readFileSync(`${ROOT}package-lock.json`, 'utf8'), /@escape\.tech\/graphql-armor/);
  });
});
