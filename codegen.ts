/**
 * Prints the schema into `schema.graphql`, and generates the types of the example client from it.
 * The second needs `npm ci --prefix tools` once; without it only the schema is printed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { printSchema } from 'graphql';
import { schema } from './src/graph/schema.ts';

const SCHEMA_FILE = new URL('schema.graphql', import.meta.url);
const TOOLS = fileURLToPath(new URL('tools/', import.meta.url));
const GENERATOR = `${TOOLS}node_modules/@graphql-codegen/cli/esm/bin.js`;

writeFileSync(SCHEMA_FILE, `${printSchema(schema)}\n`);
if (existsSync(GENERATOR)) {
  const { status } = spawnSync(process.execPath, [GENERATOR, '--config', 'codegen.config.js'], {
    cwd: TOOLS,
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} else {
  process.stdout.write('schema.graphql is written. For the types of the example client: npm ci --prefix tools\n');
}
