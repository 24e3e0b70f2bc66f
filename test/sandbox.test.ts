import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../demo/process.ts';
import { ServerProcess } from './support/process.ts';
import { openSse } from './support/transports.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const MAIN = fileURLToPath(new URL('../sandbox/main.ts', import.meta.url));

it('the sandbox lets a person link a netdisk and see its files, then leaves nothing', {
  timeout: 60_000,
}, async (t) => {
  const sandbox = new ServerProcess(MAIN, { PORT: String(await freePort()), LOG_LEVEL: 'info' });
  t.after(() => sandbox.child.kill('SIGTERM'));
  const url = await sandbox.url();
  const approvals = /phone, at (\S+)/.exec(sandbox.stderr)?.[1] ?? '';
  const ask = async (query: string, token = ''): Promise<Answer> => {
    const headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
    return ((await response.json()) as Answer).data;
  };

  const registered = await ask(
    'mutation { register(input: { username: "somebody", password: "a password of mine" }) { ... on RegisterPayload { session { accessToken } } } }',
  );
  const token = registered.register.session.accessToken;
  const started = await ask(
    'mutation { startDeviceLink(input: { provider: BAIDU }) { ... on StartDeviceLinkPayload { deviceLink { id userCode } } } }',
    token,
  );
  const { id, userCode } = started.startDeviceLink.deviceLink;
  const page = await (await fetch(approvals)).text();
  const [, provider = '', code = ''] =
    /name="provider" value="(\w+)">.*name="code" value="(\w+)"/.exec(page) ?? assert.fail(page);
  assert.equal(code, userCode);
  const body = new URLSearchParams({ provider, code, answer: 'approve' });
  assert.equal((await fetch(approvals, { method: 'POST', body })).status, 200);

  const query =
    'subscription ($id: ID!) { deviceLinkUpdated(id: $id) { state account { label root { children { nodes { name } } } } } }';
  const states: Answer[] = [];
  for await (const { data } of openSse(url, { query, variables: { id }, token })) states.push(data.deviceLinkUpdated);
  assert.equal(states.at(-1)?.state, 'APPROVED');
  assert.ok(states.at(-1)?.account?.root.children.nodes.some(({ name }: Answer) => name === 'Welcome.txt'));

  sandbox.child.kill('SIGTERM');
  assert.deepEqual(await sandbox.exited, { code: 0, signal: null });
});
