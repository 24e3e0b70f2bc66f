/**
 * `npm run sandbox`: PanQL before imitations of the clouds, for people without accounts there. Nothing leaves this
 * machine, and nothing is kept: with the end of the process all is gone. PORT (4000) is the server's; the page on which
 * sign-ins are confirmed is on the next one.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApprovals } from '../clouds/approvals.ts';
import type { Cloud } from '../clouds/cloud.ts';
import { startClouds } from '../clouds/clouds.ts';
import { PROJECT, withoutSettings } from '../demo/server.ts';

const port = Number(process.env.PORT ?? 4000);
const address = `http://127.0.0.1:${port}`;

await using clouds = await startClouds(address);
const approvals = await startApprovals(clouds.all, port + 1);

const dataDir = await mkdtemp(join(tmpdir(), 'panql-sandbox-'));
const server = spawn(process.execPath, ['src/main.ts'], {
  cwd: PROJECT,
  stdio: 'inherit',
  env: {
    ...withoutSettings(process.env),
    ...clouds.settings,
    LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn',
    HOST: '127.0.0.1',
    PORT: String(port),
    DATA_DIR: dataDir,
  },
});
// The terminal tells both; whoever tells only this process means both.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => server.kill('SIGTERM'));

process.stderr.write(`
The sandbox: imitations of clouds, and a server before them. All is gone when you end it (Ctrl+C).

  1. Open ${address}/graphql and register.
  2. Link an account of a cloud:
${clouds.all.map(howToLink).join('')}
  3. Look at its files (a Netdisk server lists none: ask for them by \`search\` or \`entry\`):
       { viewer { accounts { nodes { label root { children { nodes { name } } } } } } }
`);

const [code] = await once(server, 'exit');
await approvals.close();
await rm(dataDir, { recursive: true, force: true });
process.exitCode = code ?? 1;

function howToLink({ provider, title, person, linking }: Cloud): string {
  if (linking.method === 'DEVICE_CODE') {
    return `
     ${title}, of “${person}”:
       mutation { startDeviceLink(input: { provider: ${provider} }) {
         ... on StartDeviceLinkPayload { deviceLink { id userCode } } ... on UserError { message } } }
     then confirm it, as ${person} would with a phone, at ${approvals.url}
`;
  }
  const values = Object.entries(linking.values).map(
    ([name, value]) => `{ name: ${JSON.stringify(name)}, value: ${JSON.stringify(value)} }`,
  );
  return `
     ${title}, of “${person}”:
       mutation { linkWithCredentials(input: { provider: ${provider}, values: [${values.join(', ')}] }) {
         ... on LinkWithCredentialsPayload { account { id label } } ... on UserError { message } } }
`;
}
