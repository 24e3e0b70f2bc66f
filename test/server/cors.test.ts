import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startTestApp, type TestApp } from '../support/app.ts';

const LISTED = 'https://app.example';
const OTHER = 'https://evil.example';

const query = (url: string, headers: Record<string, string>): Promise<Response> =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{"query":"{ __typename }"}',
  });

const leave = (url: string, origin: string): Promise<Response> =>
  fetch(`${url}/graphql`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  });

const corsHeaders = ({ headers }: Response): Record<string, string> =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));

describe('cross-origin requests', () => {
  describe('with nothing set', () => {
    let app: TestApp;
    before(async () => {
      app = await startTestApp();
    });
    after(() => app.close());

    it('no origin is echoed, and no credentials are allowed', async () => {
      assert.deepEqual(corsHeaders(await query(app.url, { origin: OTHER })), {});
      assert.deepEqual(corsHeaders(await leave(app.url, OTHER)), {});
    });

    it('requests without an origin, of apps that are no page, are answered', async () => {
      assert.equal((await query(app.url, {})).status, 200);
    });
  });

  describe('with a list', () => {
    let app: TestApp;
    before(async () => {
      app = await startTestApp({ settings: { CORS_ORIGINS: `${LISTED}, https://second.example` } });
    });
    after(() => app.close());

    it('a listed origin may ask, with its token', async () => {
      const answer = await leave(app.url, LISTED);
      assert.equal(answer.status, 204);
      assert.deepEqual(corsHeaders(answer), {
        'access-control-allow-origin': LISTED,
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': 'authorization, content-type, accept, cache-control',
        'access-control-max-age': '7200',
      });
      assert.deepEqual(corsHeaders(await query(app.url, { origin: LISTED })), {
        'access-control-allow-origin': LISTED,
      });
    });

    it('answers vary by origin, so that no cache mixes them', async () => {
      for (const origin of [LISTED, OTHER]) {
        assert.match((await query(app.url, { origin })).headers.get('vary') ?? '', /Origin/);
      }
    });

    it('another origin, and one that only looks listed, may not', async () => {
      for (const origin of [
        OTHER,
        `${LISTED}.evil.example`,
        'https://app.example:8443',
        'http://app.example',
        'null',
      ]) {
        assert.deepEqual(corsHeaders(await leave(app.url, origin)), {}, origin);
        assert.deepEqual(corsHeaders(await query(app.url, { origin })), {}, origin);
      }
    });

    it('errors can be read across origins too', async () => {
      const answer = await fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'text/plain', origin: LISTED },
        body: 'x',
      });
      assert.equal(answer.status, 415);
      assert.equal(answer.headers.get('access-control-allow-origin'), LISTED);
    });

    it('health and metrics are not for pages', async () => {
      for (const path of ['/health/ready', '/metrics']) {
        const answer = await fetch(`${app.url}${path}`, { headers: { origin: LISTED } });
        assert.deepEqual(corsHeaders(answer), {});
      }
    });
  });

  it('* is every origin, still without credentials', async (t) => {
    const app = await startTestApp({ settings: { CORS_ORIGINS: '*' } });
    t.after(() => app.close());
    const answer = await query(app.url, { origin: OTHER });
    assert.deepEqual(corsHeaders(answer), { 'access-control-allow-origin': '*' });
  });

  it('every answer carries the safety headers', async (t) => {
    const app = await startTestApp();
    t.after(() => app.close());
    for (const path of ['/graphql?query={__typename}', '/health/live', '/nothing', '/']) {
      const { headers } = await fetch(`${app.url}${path}`);
      assert.equal(headers.get('x-content-type-options'), 'nosniff', path);
      assert.equal(headers.get('referrer-policy'), 'no-referrer', path);
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'; frame-ancestors 'none'/, path);
    }
  });
});
