/**
 * `npm run sandbox`: PanQL before an imitation of Baidu Netdisk, for people without an account there. Nothing leaves
 * this machine, and nothing is kept: with the end of the process all is gone. PORT (4000) is the server's; the page on
 * which sign-ins are confirmed is on the next one.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROJECT, withoutSettings } from '../demo/server.ts';
import { startBaiduFake } from '../src/drives/baidu/fake/index.ts';
import { startApprovals } from './approvals.ts';

const port = Number(process.env.PORT ?? 4000);
const address = `http://127.0.0.1:${port}`;
const APP_ROOT = '/apps/PanQL';

const fake = await startBaiduFake({
  app: { redirectUris: [`${address}/link/callback`] },
  settings: { appRoot: APP_ROOT, webEndpoints: true },
});
const person = fake.createUser({ baiduName: 'Ada', vipType: 2, shareGrant: true, searchGrant: true });
fake.seedFile(person, `${APP_ROOT}/Welcome.txt`, 'This is a file on an imitation of Baidu Netdisk.\n');
fake.seedFile(person, `${APP_ROOT}/资料/Report.pdf`, 200_000);
fake.seedFile(person, `${APP_ROOT}/Videos/Holiday.mp4`, 20_000_000);
fake.setVisitor(person); // Who comes to the sign-in page confirms there.
const approvals = await startApprovals(fake, person, port + 1);

const dataDir = await mkdtemp(join(tmpdir(), 'panql-sandbox-'));
const server = spawn(process.execPath, ['src/main.ts'], {
  cwd: PROJECT,
  stdio: 'inherit',
  env: {
    ...withoutSettings(process.env),
    LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn',
    HOST: '127.0.0.1',
    PORT: String(port),
    DATA_DIR: dataDir,
    BAIDU_CLIENT_ID: fake.app.clientId,
    BAIDU_CLIENT_SECRET: fake.app.clientSecret,
    BAIDU_APP_ID: fake.app.appId,
    BAIDU_APP_ROOT: APP_ROOT,
    BAIDU_UNVERIFIED: 'true',
    BAIDU_OPENAPI_URL: fake.urls.openapi,
    BAIDU_PAN_URL: fake.urls.pan,
    BAIDU_PCS_URL: fake.urls.pcs,
    OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
  },
});
// The terminal tells both; whoever tells only this process means both.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => server.kill('SIGTERM'));

process.stderr.write(`
The sandbox: an imitation of Baidu Netdisk, and a server before it. All is gone when you end it (Ctrl+C).

  1. Open ${address}/graphql and register.
  2. Link the netdisk of “Ada”:
       mutation { startDeviceLink(input: { provider: BAIDU }) {
         ... on StartDeviceLinkPayload { deviceLink { id userCode } } ... on UserError { message } } }
  3. Confirm it, as Ada would with her phone, at ${approvals.url}
  4. Look at her files:
       { viewer { accounts { nodes { label root { children { nodes { name } } } } } } }
`);

const [code] = await once(server, 'exit');
await approvals.close();
await fake.close();
await rm(dataDir, { recursive: true, force: true });
process.exitCode = code ?? 1;
