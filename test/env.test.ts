import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { loadConfig, SETTING_NAMES } from '../src/config.ts';

const example = readFileSync(new URL('../.env.example', import.meta.url), 'utf8');

interface Setting {
  readonly name: string;
  readonly value: string;
  /** Whether it stands for the default: shown as a comment, and not called an example. */
  readonly isDefault: boolean;
}

const settings: Setting[] = [];
let isExample = false;
for (const line of example.split('\n')) {
  const [, comment, name, value] = /^(# )?([A-Z][A-Z0-9_]*)=(.*)$/.exec(line) ?? [];
  if (name !== undefined && value !== undefined) {
    settings.push({ name, value, isDefault: comment !== undefined && !isExample });
  } else if (line === '') isExample = false;
  else if (/\bExample\b/.test(line)) isExample = true;
}

describe('.env.example', () => {
  it('lists each setting once, and nothing that is none', () => {
    const names = settings.map(({ name }) => name);
    assert.deepEqual(names.toSorted(), SETTING_NAMES.toSorted());
    assert.equal(new Set(names).size, names.length);
  });

  it('shows the real defaults', () => {
    const defaults = loadConfig({});
    const shown = settings.filter(({ name, isDefault }) => isDefault && !name.endsWith('_FILE'));
    assert.ok(shown.length > 10);
    assert.deepEqual(loadConfig(Object.fromEntries(shown.map(({ name, value }) => [name, value]))), defaults);
  });

  it('gives examples that are taken', () => {
    const given = settings.filter(({ name, value }) => value !== '' && !name.endsWith('_FILE'));
    loadConfig(Object.fromEntries(given.map(({ name, value }) => [name, value])));
  });

  it('holds no key that works', () => {
    for (const { name, value } of settings) {
      if (/KEYS$|SECRET$/.test(name)) assert.equal(value, '', name);
    }
  });
});

describe('src/config.ts', () => {
  it('reads what it is given, not the environment of the process', () => {
    process.env.PORT = '4999';
    assert.equal(loadConfig({}).port, 4000);
  });
});
