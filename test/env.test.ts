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
      if (/KEYS$|SECRET$|ACCESS_KEY(_ID)?$/.test(name)) assert.equal(value, '', name);
    }
  });
});

describe('src/config.ts', () => {
  it('reads what it is given, not the environment of the process', () => {
    process.env.PORT = '4999';
    assert.equal(loadConfig({}).port, 4000);
  });
});

describe('BLOB_STORE_URL', () => {
  const blobStoreOf = (url: string, keys: Readonly<Record<string, string>> = {}) =>
    loadConfig({ BLOB_STORE_URL: url, ...keys }).blobStore;

  it('names a bucket, and where it is', () => {
    assert.deepEqual(blobStoreOf('s3://panql')?.address, {
      bucket: 'panql',
      endpoint: null,
      region: 'us-east-1',
      pathStyle: false,
      prefix: '',
    });
    assert.deepEqual(
      blobStoreOf('s3://my.bucket-1/?endpoint=http://minio:9000/s3&region=eu-central-1&pathStyle=false&prefix=a/b')
        ?.address,
      {
        bucket: 'my.bucket-1',
        endpoint: 'http://minio:9000/s3',
        region: 'eu-central-1',
        pathStyle: false,
        prefix: 'a/b/',
      },
    );
    assert.equal(blobStoreOf('s3://panql?endpoint=https://s3.example.com')?.address.pathStyle, true);
    assert.equal(loadConfig({}).blobStore, null);
  });

  it('takes both keys or none, and shows neither', () => {
    const keys = { BLOB_STORE_ACCESS_KEY_ID: 'id-canary', BLOB_STORE_SECRET_ACCESS_KEY: 'secret-canary' };
    const config = blobStoreOf('s3://panql', keys);
    assert.equal(config?.credentials?.secretAccessKey.reveal(), 'secret-canary');
    assert.doesNotMatch(JSON.stringify(config), /secret-canary/);
    assert.equal(blobStoreOf('s3://panql')?.credentials, null);
    for (const [name, value] of Object.entries(keys)) {
      assert.throws(() => blobStoreOf('s3://panql', { [name]: value }), /belong together/);
    }
  });

  for (const [url, fault] of [
    ['https://panql.s3.amazonaws.com', /BLOB_STORE_URL must be s3:/],
    ['s3:panql', /must be s3:/],
    ['s3://', /must (be s3:|name a bucket)/],
    ['s3://Panql', /must name a bucket/],
    ['s3://ab', /must name a bucket/],
    ['s3://panql/folder', /must have no path/],
    ['s3://canary-id:canary-secret@panql', /must hold no keys/],
    ['s3://panql#x', /fragment/],
    ['s3://panql?endpoint=minio:9000', /http or https URL as endpoint/],
    ['s3://panql?endpoint=http://canary-id:canary-secret@minio', /http or https URL as endpoint/],
    ['s3://panql?endpoint=http://a&endpoint=http://b', /each parameter once/],
    ['s3://panql?accessKey=canary-secret', /no parameters but endpoint/],
    ['s3://panql?pathStyle=yes', /true or false as pathStyle/],
    ['s3://panql?region=no/where', /as region/],
    ['s3://panql?prefix=/a', /prefix of plain names/],
    ['s3://panql?prefix=a//b', /prefix of plain names/],
    ['s3://panql?prefix=..%00', /prefix of plain names/],
  ] as const) {
    it(`is refused as ${url}, without being shown`, () => {
      assert.throws(
        () => blobStoreOf(url),
        ({ message }: Error) => {
          assert.match(message, fault);
          assert.doesNotMatch(message, /canary/);
          return true;
        },
      );
    });
  }
});
