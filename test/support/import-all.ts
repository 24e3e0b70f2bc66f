/** Imports every module of the source but the program itself: see imports.test.ts. */
import { globSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const source = fileURLToPath(new URL('../../src/', import.meta.url));
const modules = globSync('**/*.ts', { cwd: source }).filter(
  (file) => !/\.test\.ts$|^main\.ts$|^storage\/migrations\/create\.ts$/.test(file),
);
for (const file of modules) await import(pathToFileURL(source + file).href);
process.stdout.write(String(modules.length));
