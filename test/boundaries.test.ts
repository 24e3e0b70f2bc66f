import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../src', import.meta.url));

/** What each folder may use. `types`: by `import type` only, the shape of a thing but not the thing. */
const TABLE: Readonly<Record<string, { readonly uses: readonly string[]; readonly types?: readonly string[] }>> = {
  server: { uses: ['graph', 'services', 'lib'], types: ['config'] },
  graph: { uses: ['services', 'events', 'lib'], types: ['drives', 'storage'] },
  services: { uses: ['drives', 'transfers', 'vault', 'storage', 'events', 'lib'], types: ['config'] },
  transfers: { uses: ['drives', 'storage', 'events', 'lib'] },
  drives: { uses: ['transport', 'lib'] },
  'drives/local': { uses: ['transport', 'storage', 'lib'] }, // Its entries are rows, its bytes the blob store.
  vault: { uses: ['storage', 'lib'], types: ['events'] },
  transport: { uses: ['lib'] },
  storage: { uses: ['lib'] },
  events: { uses: ['lib'] },
  lib: { uses: [] },
};

/** Packages that would bring into a folder what it must not know. */
const FORBIDDEN_PACKAGES: Readonly<Record<string, RegExp>> = {
  server: /^(@mikro-orm|pg$|undici$)/,
  graph: /^(@mikro-orm|kysely|pg$|undici$|node:https?$)/,
  services: /^(graphql|@pothos|node:https?$|graphql-yoga|ws$)/,
  transfers: /^(graphql|@pothos|node:https?$|@mikro-orm\/(sqlite|postgresql))/,
  drives: /^(graphql|@pothos|pino$)/,
  storage: /^(graphql|@pothos|undici$)/,
  lib: /^(graphql|@pothos|@mikro-orm|undici$)/,
};

interface Import {
  readonly file: string;
  readonly folder: string;
  /** The folder it leads to, or null for a package. */
  readonly target: string | null;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/** The driver of one provider is a folder of its own; what drivers share is `drives`. */
const PROVIDER_FOLDER = /^drives\/(local|baidu|pan123|pan115|netdisk)\//;

function folderOf(path: string): string {
  if (PROVIDER_FOLDER.test(path)) return `drives/${PROVIDER_FOLDER.exec(path)?.[1]}`;
  return path.includes('/') ? (path.split('/', 1)[0] ?? '') : path.replace(/\.ts$/, '');
}

const files = globSync('**/*.ts', { cwd: SOURCE }).filter((file) => !file.endsWith('.test.ts'));
const imports: Import[] = files.flatMap((file) => {
  const text = readFileSync(join(SOURCE, file), 'utf8');
  const found = text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gms);
  return [...found].map(([, type, named, dynamic]) => {
    const specifier = named ?? dynamic ?? '';
    const target = specifier.startsWith('.') ? relative(SOURCE, join(SOURCE, dirname(file), specifier)) : null;
    return {
      file,
      folder: folderOf(file),
      target: target === null ? null : folderOf(target),
      specifier,
      typeOnly: type !== undefined,
    };
  });
});

/** The composition: these alone may know everything. */
const COMPOSITION = new Set(['main', 'start', 'rotate-vault', 'backup', 'app', 'config']);

/** A drive is named in the registry; and a new user's own drive is made in the transaction that makes the user. */
const NAMES_A_DRIVE = new Set(['drives/registry.ts', 'services/identity/registration.ts']);

function mayImport({ folder, target, typeOnly, file }: Import): boolean {
  if (target === null || folder === target || COMPOSITION.has(folder)) return true;
  const [area = ''] = folder.split('/');
  const [targetArea = ''] = target.split('/');
  if (target.startsWith('drives/')) return NAMES_A_DRIVE.has(file);
  if (area === 'drives' && targetArea === 'drives') return true;
  const row = TABLE[folder] ?? TABLE[area];
  return row?.uses.includes(targetArea) || (typeOnly && row?.types?.includes(targetArea)) || false;
}

describe('imports keep to the table', () => {
  for (const folder of Object.keys(TABLE)) {
    it(folder, () => {
      const wrong = imports.filter((one) => one.folder === folder && !mayImport(one));
      assert.deepEqual(
        wrong.map(({ file, specifier }) => `${file}: ${specifier}`),
        [],
      );
    });
  }

  it('every folder of the source has a row', () => {
    const folders = new Set(files.map((file) => folderOf(file).split('/', 1)[0] ?? ''));
    assert.deepEqual(
      [...folders].filter((folder) => !TABLE[folder] && !COMPOSITION.has(folder)),
      [],
    );
  });

  it('no folder uses a package of what it must not know', () => {
    const wrong = imports.filter(({ folder, target, specifier, typeOnly }) => {
      const forbidden = FORBIDDEN_PACKAGES[folder];
      return target === null && !typeOnly && forbidden?.test(specifier);
    });
    assert.deepEqual(
      wrong.map(({ file, specifier }) => `${file}: ${specifier}`),
      [],
    );
  });
});

describe('the source', () => {
  const readers = (pattern: RegExp): string[] =>
    files.filter((file) =>
      pattern.test(readFileSync(join(SOURCE, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')),
    );

  it('reads the environment in one place', () => {
    const scripts = ['storage/migrations/create.ts']; // Run by a developer, not by the server.
    assert.deepEqual(readers(/process\.env/), ['main.ts', ...scripts]);
  });

  it('writes no log by console', () => {
    assert.deepEqual(readers(/\bconsole\.\w+\(/), []);
  });

  it('makes no secret and no id by Math.random', () => {
    const jitter = ['events/link.ts', 'transfers/endings.ts']; // How long to wait before the next try.
    assert.deepEqual(
      readers(/Math\.random/).filter((file) => !jitter.includes(file)),
      [],
    );
  });

  it('imports files by their whole name', () => {
    const wrong = imports.filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|js|json)$/.test(specifier));
    assert.deepEqual(
      wrong.map(({ file, specifier }) => `${file}: ${specifier}`),
      [],
    );
  });

  it('has no file of odds and ends', () => {
    assert.deepEqual(
      files.filter((file) => /(^|\/)(utils?|helpers?|misc|common)\.ts$/.test(file)),
      [],
    );
  });
});
