import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The oldest Node that runs it: `engines` in package.json says the same, to npm alone. */
const NODE_MIN = 24;

if (Number.parseInt(process.versions.node, 10) < NODE_MIN) {
  process.stderr.write(
    `PanQL needs Node ${NODE_MIN} or newer; this is ${process.versions.node}.\nStart it with \`npm start\`, which brings a fitting one, or install it from https://nodejs.org.\n`,
  );
  process.exit(1);
}

// Keeps what Node made of the sources: the next start takes half the time. Where it cannot be written, nothing is kept.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/panql', import.meta.url)));

// Not imported above: an older Node fails at the imports with an error that tells nobody what to do.
if (process.argv[2] === 'vault:rotate') {
  const { rotateVault } = await import('./rotate-vault.ts');
  await rotateVault(process.env);
} else if (process.argv[2] === 'backup') {
  const { backUpTo } = await import('./backup.ts');
  await backUpTo(process.argv[3], process.env);
} else {
  const { start } = await import('./start.ts');
  await start(process.env);
}
