import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Upload } from 'tus-js-client';
import { freePort } from '../../demo/process.ts';
import { ServerProcess, temporaryFolder } from '../support/process.ts';
import { createTestDatabase, skipReason } from '../support/services.ts';
import { startTcpBalancer } from '../support/tcp-balancer.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const MIB = 1024 * 1024;

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

test('an upload goes on through another server when the one that took it is killed', {
  skip: await skipReason('PostgreSQL'),
  timeout: 150_000,
}, async (t) => {
  const database = await createTestDatabase();
  t.after(() => database.drop());
  const dataDir = await temporaryFolder(t);
  const balancer = await startTcpBalancer();
  t.after(() => balancer.close());
  const environment = {
    ...{ NODE_ENV: 'test', DATA_DIR: dataDir, DATABASE_URL: database.url, PUBLIC_URL: balancer.url, LOG_LEVEL: 'info' },
    // What two servers must have in common.
    VAULT_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    JWT_KEYS: `k1:${randomBytes(32).toString('base64')}`,
  };
  const ports = [String(await freePort()), String(await freePort())];
  const servers = ports.map((port) => new ServerProcess(MAIN, { ...environment, PORT: port }));
  t.after(async () => {
    for (const { child } of servers) child.kill('SIGKILL');
    await Promise.all(servers.map(({ exited }) => exited));
  });
  const [first] = servers as [ServerProcess];
  await Promise.all(servers.map((server) => server.logged('listening')));
  const [firstUrl = '', secondUrl = ''] = ports.map((port) => `http://127.0.0.1:${port}`);
  balancer.servers.push(firstUrl, secondUrl);

  const register = `mutation { register(input: { username: "crash", password: "a long enough secret" }) {
    ... on RegisterPayload { session { accessToken } user { accounts(first: 1) { nodes { root { id } } } } } } }`;
  const { session, user } = (await ask(balancer.url, register)).register;
  const bytes = randomBytes(32 * MIB);
  const start = `mutation ($input: StartUploadInput!) { startUpload(input: $input) {
    ... on StartUploadPayload { uploadUrl transfer { id } } ... on UserError { message } } }`;
  const input = { parent: { id: user.accounts.nodes[0].root.id }, name: 'large.bin', size: bytes.length };
  const { uploadUrl, transfer } = (await ask(balancer.url, start, { input }, session.accessToken)).startUpload;

  balancer.onSent = (server) => {
    if (server !== firstUrl || (balancer.sent.get(server) ?? 0) < 12 * MIB) return;
    first.child.kill('SIGKILL');
    balancer.onSent = () => {};
  };
  // As it comes: one request for all, and its own retries.
  await new Promise<void>((resolve, reject) => {
    new Upload(bytes, { uploadUrl, onError: reject, onSuccess: () => resolve() }).start();
  });
  assert.equal((await first.exited).signal, 'SIGKILL');
  assert.ok((balancer.sent.get(secondUrl) ?? 0) > MIB, 'the rest came through the other one');

  const look = `query ($id: ID!) { node(id: $id) { ... on Transfer { state entry { id } error { ... on UserError { message } } } } }`;
  const ended = async (): Promise<Answer> => {
    for (;;) {
      const { node } = await ask(balancer.url, look, { id: transfer.id }, session.accessToken);
      if (node.state === 'SUCCEEDED') return node;
      assert.ok(node.state !== 'FAILED' && node.state !== 'CANCELLED', JSON.stringify(node));
      await delay(100);
    }
  };
  const { entry } = await ended();
  const download = `mutation ($input: CreateDownloadTicketInput!) { result: createDownloadTicket(input: $input) {
    ... on CreateDownloadTicketPayload { ticket { url } } ... on UserError { message } } }`;
  const file = { file: { id: entry.id } };
  const { ticket } = (await ask(balancer.url, download, { input: file }, session.accessToken)).result;
  const stored = Buffer.from(await (await fetch(ticket.url)).arrayBuffer());
  const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
  assert.equal(sha256(stored), sha256(bytes));
});

async function ask(url: string, query: string, variables: object = {}, token?: string): Promise<Answer> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await response.json()) as Answer;
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}
