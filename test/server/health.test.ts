import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startTestApp, type TestApp } from '../support/app.ts';
import { registerUser } from '../support/people.ts';
import { createTestDatabase, skipReason } from '../support/services.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const skip = await skipReason('PostgreSQL');

describe('health', () => {
  let app: TestApp;
  before(async () => {
    app = await startTestApp();
  });
  after(() => app.close());

  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${app.url}${path}`, { headers });
    return { status: response.status, headers: response.headers, text: await response.text() };
  };

  it('is live and ready, and nothing keeps the answer', async () => {
    for (const [path, status] of [
      ['/health/live', 'live'],
      ['/health/ready', 'ready'],
    ] as const) {
      const answer = await get(path);
      assert.deepEqual([answer.status, JSON.parse(answer.text)], [200, { status }]);
      assert.equal(answer.headers.get('cache-control'), 'no-store');
    }
  });

  it('is live but not ready while the database does not answer, and tells nothing more', async () => {
    const { health } = app.app.services;
    const { ready } = health;
    health.ready = async () => false;
    try {
      const answer = await get('/health/ready');
      assert.deepEqual([answer.status, JSON.parse(answer.text)], [503, { status: 'unavailable' }]);
      assert.equal((await get('/health/live')).status, 200);
    } finally {
      health.ready = ready;
    }
  });

  it('is not ready while the database is cut off or hangs, and ready again after', { skip }, async (t) => {
    const database = await createTestDatabase();
    const proxy = await startTcpProxy(database.url);
    const remote = await startTestApp({ settings: { DATABASE_URL: proxy.url } });
    t.after(async () => {
      await remote.close();
      await proxy.close();
      await database.drop();
    });
    const status = async (path: string): Promise<number> => (await fetch(`${remote.url}${path}`)).status;
    assert.equal(await status('/health/ready'), 200);
    await proxy.cut();
    assert.deepEqual([await status('/health/ready'), await status('/health/live')], [503, 200]);
    await proxy.restore();
    while ((await status('/health/ready')) !== 200);
    proxy.stall();
    assert.equal(await status('/health/ready'), 503);
    await proxy.cut(); // What is stalled stays so: nothing should wait for it at the end.
    await proxy.restore();
  });

  describe('metrics', () => {
    it('count operations, errors by code, requests by route, and acts on drives', async () => {
      const { token } = await registerUser(app);
      await app.graphql('{ viewer { accounts { nodes { root { children { nodes { id } } } } } } }', {}, token);
      await app.graphql('{ nothing }');
      const { status, text, headers } = await get('/metrics');
      assert.equal(status, 200);
      assert.match(headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
      assert.match(text, /^panql_graphql_operation_duration_seconds_count\{type="query",outcome="ok"\} [1-9]/m);
      assert.match(text, /^panql_graphql_errors_total\{code="GRAPHQL_VALIDATION_FAILED"\} 1$/m);
      assert.match(
        text,
        /^panql_http_request_duration_seconds_count\{route="\/graphql",method="POST",status="200"\} [1-9]/m,
      );
      assert.match(
        text,
        /^panql_drive_operation_duration_seconds_count\{provider="LOCAL",operation="list",outcome="ok"\} [1-9]/m,
      );
      assert.match(text, /^nodejs_eventloop_lag_seconds /m);
      assert.match(text, /^panql_live_streams 0$/m);
    });

    it('make no label of what a client chose', async () => {
      await fetch(`${app.url}/some/secret/path?token=abc`, { method: 'PROPFIND' });
      const { text } = await get('/metrics');
      assert.match(text, /route="none",method="other",status="404"/);
      assert.doesNotMatch(text, /secret|PROPFIND/);
    });

    it('are in the text format of Prometheus: each line is a comment or a sample', async () => {
      const { text } = await get('/metrics');
      for (const line of text.trimEnd().split('\n')) {
        assert.match(line, /^$|^# (HELP|TYPE) \w+ .+|^\w+(\{(\w+="[^"]*",?)*\})? ([Nn]a[Nn]|[+-]?Inf|[\d.e+-]+)$/);
      }
    });

    it('are for this network, and from elsewhere for an administrator', async (t) => {
      const proxied = await startTestApp({ settings: { TRUST_PROXY: 'true' } });
      t.after(() => proxied.close());
      const admin = await registerUser(proxied);
      const user = await registerUser(proxied);
      const statusFrom = async (address: string, token?: string): Promise<number> => {
        const headers = { 'x-forwarded-for': address, ...(token ? { authorization: `Bearer ${token}` } : {}) };
        return (await fetch(`${proxied.url}/metrics`, { headers })).status;
      };
      for (const near of ['127.0.0.1', '10.1.2.3', '192.168.0.9', '::1', 'fd00::1']) {
        assert.equal(await statusFrom(near), 200, near);
      }
      for (const far of ['203.0.113.9', '8.8.8.8', '2001:4860::1']) assert.equal(await statusFrom(far), 403, far);
      assert.equal(await statusFrom('8.8.8.8', user.token), 403);
      assert.equal(await statusFrom('8.8.8.8', admin.token), 200);
    });
  });
});
