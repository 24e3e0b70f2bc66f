import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { introspectionFromSchema } from 'graphql';
import { schema } from '../src/graph/schema.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TOOLS = join(ROOT, 'tools');
const SDL = readFileSync(join(ROOT, 'schema.graphql'), 'utf8');

/** They stand in a tree of their own, with another graphql: what `npm ci` of the server does not bring. */
function skipWithoutTools(): string | false {
  if (existsSync(join(TOOLS, 'node_modules'))) return false;
  const reason = 'the tools are not installed: npm ci --prefix tools';
  if (process.env.PANQL_TEST_REQUIRE_SERVICES === '1') throw new Error(reason);
  return reason;
}

/** Fails with what the tool says. */
function run(tool: string, args: readonly string[], cwd: string): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(TOOLS, 'node_modules', tool), ...args], {
    cwd,
    encoding: 'utf8',
  });
  assert.equal(status, 0, `${stdout}\n${stderr}`);
}

/** A folder for one tool, removed when it is done. */
function withFolder(work: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'panql-tools-'));
  try {
    work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('the schema, by tools that others wrote', { skip: skipWithoutTools() }, () => {
  it('graphql-eslint finds nothing: descriptions, names, and the rules of Relay', () => {
    run('eslint/bin/eslint.js', ['--config', 'tools/eslint.config.js', '--max-warnings', '0', 'schema.graphql'], ROOT);
  });

  const compileRelay = (sdl: string, folder: string): void => {
    cpSync(join(TOOLS, 'relay-app.js'), join(folder, 'app.js'));
    writeFileSync(join(folder, 'schema.graphql'), sdl);
    writeFileSync(
      join(folder, 'relay.config.json'),
      JSON.stringify({
        src: '.',
        schema: 'schema.graphql',
        language: 'javascript',
        customScalarTypes: { ByteCount: 'number', DateTime: 'string' },
      }),
    );
    run('relay-compiler/cli.js', [], folder);
  };

  it('relay-compiler takes it: connections, refetching by node, pagination', () =>
    withFolder((folder) => compileRelay(SDL, folder)));

  it('relay-compiler would see a page without hasNextPage', () =>
    withFolder((folder) => {
      assert.throws(() => compileRelay(SDL.replace('  hasNextPage: Boolean!\n', ''), folder), /hasNextPage|PageInfo/);
    }));

  for (const name of ['graphql15', 'graphql']) {
    const { buildSchema, buildClientSchema, parse, version, validateSchema } = createRequire(join(TOOLS, 'x.js'))(name);
    it(`graphql ${version}, as generators for phones still use it, reads SDL and introspection`, () => {
      const read = buildSchema(SDL, { assumeValidSDL: version.startsWith('15') }); // 15 knows no @oneOf.
      assert.ok(read.getType('CloudAccount'));
      assert.deepEqual(validateSchema(read), []);
      assert.ok(parse(SDL));
      assert.ok(buildClientSchema(introspectionFromSchema(schema)).getType('CloudAccount'));
    });
  }

  it('the types of the example client are those of this schema: run `npm run schema`', () =>
    withFolder((folder) => {
      const committed = join(ROOT, 'test/client-example');
      const example = join(folder, 'test/client-example');
      mkdirSync(example, { recursive: true });
      for (const file of readdirSync(committed).filter((one) => one.endsWith('.ts'))) {
        cpSync(join(committed, file), join(example, file));
      }
      writeFileSync(join(folder, 'schema.graphql'), SDL);
      mkdirSync(join(folder, 'tools'));
      cpSync(join(TOOLS, 'codegen.config.js'), join(folder, 'tools/codegen.config.js'));
      writeFileSync(join(folder, 'tools/package.json'), '{"type":"module"}');
      symlinkSync(join(TOOLS, 'node_modules'), join(folder, 'tools/node_modules')); // Where it looks for its presets.
      run('@graphql-codegen/cli/esm/bin.js', ['--config', 'codegen.config.js'], join(folder, 'tools'));
      for (const file of readdirSync(join(example, 'generated'))) {
        const fresh = readFileSync(join(example, 'generated', file), 'utf8');
        assert.equal(readFileSync(join(committed, 'generated', file), 'utf8'), fresh, file);
      }
    }));
});
