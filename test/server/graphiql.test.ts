import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { parse, validate } from 'graphql';
import type { Browser, Page } from 'playwright-core';
import { schema } from '../../src/graph/schema.ts';
import { DEFAULT_TABS } from '../../src/server/graphiql/tabs.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { launchChromium, skipWithoutChromium } from '../support/chromium.ts';

const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** By `node:http`, which unpacks nothing. */
const get = (url: string, headers: Readonly<Record<string, string>>): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { headers, agent: false }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
    });
    sent.on('error', reject);
    sent.end();
  });

describe('GraphiQL', () => {
  let app: TestApp;
  before(async () => {
    app = await startTestApp();
  });
  after(() => app.close());

  it('its first tabs are operations of the schema', () => {
    for (const { query, variables } of DEFAULT_TABS) {
      assert.deepEqual(validate(schema, parse(query)), [], query);
      JSON.parse(variables ?? '{}');
    }
    assert.deepEqual(
      DEFAULT_TABS.map(({ query }) => /(?:mutation|query|subscription) (\w+)/.exec(query)?.[1]),
      ['Register', 'SignIn', 'Files', 'Upload', 'Watch'],
    );
  });

  it('a browser at / is led to it, anybody else is told what there is', async () => {
    const browser = await get(`${app.url}/`, HTML);
    assert.deepEqual([browser.status, browser.headers.location], [302, '/graphql']);
    const other = await get(`${app.url}/`, { accept: '*/*' });
    assert.equal(other.status, 200);
    assert.match(String(other.body), /\/graphql/);
  });

  it('page and scripts come gzipped to whoever takes that, and plain to others', async () => {
    const page = await get(`${app.url}/graphql`, { ...HTML, 'accept-encoding': 'gzip, deflate' });
    assert.equal(page.headers['content-encoding'], 'gzip');
    const html = String(gunzipSync(page.body));
    assert.match(html, /<title>PanQL/);
    const scripts = [...html.matchAll(/(?:src|href)="(\/graphiql\/[^"]+)"/g)].map(([, path]) => path ?? '');
    assert.equal(scripts.length, 4);
    let bytes = page.body.length;
    for (const path of scripts) {
      const zipped = await get(`${app.url}${path}`, { 'accept-encoding': 'gzip' });
      const plain = await get(`${app.url}${path}`, {});
      assert.equal(zipped.headers['content-encoding'], 'gzip');
      assert.equal(plain.headers['content-encoding'], undefined);
      assert.deepEqual(gunzipSync(zipped.body), plain.body);
      assert.match(String(zipped.headers['cache-control']), /immutable/);
      bytes += zipped.body.length;
    }
    assert.ok(bytes < 2_000_000, `${bytes} bytes before it can be used`);
  });

  it('is not sent again to a browser that has it', async () => {
    const { headers } = await get(`${app.url}/graphql`, HTML);
    const again = await get(`${app.url}/graphql`, { ...HTML, 'if-none-match': String(headers.etag) });
    assert.deepEqual([again.status, again.body.length], [304, 0]);
  });

  it('may load and call this server only, and may not be framed', async () => {
    const { headers } = await get(`${app.url}/graphql`, HTML);
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /connect-src 'self'/);
    assert.match(policy, /script-src 'self'(;|$)/);
    assert.match(policy, /frame-ancestors 'none'/);
  });

  it('a file that it has not is none', async () => {
    assert.equal((await get(`${app.url}/graphiql/../../package.json`, {})).status, 404);
  });

  it('can be switched off', async (t) => {
    const without = await startTestApp({ settings: { GRAPHIQL: 'false' } });
    t.after(() => without.close());
    assert.equal((await get(`${without.url}/graphql`, HTML)).status, 404);
    assert.equal((await get(`${without.url}/graphiql/x/page.js`, {})).status, 404);
    assert.equal((await get(`${without.url}/`, HTML)).status, 200);
    const link = await get(`${without.url}/graphql?query={__typename}`, HTML);
    assert.deepEqual(JSON.parse(String(link.body)), { data: { __typename: 'Query' } });
  });
});

describe('GraphiQL in a browser', { skip: skipWithoutChromium() }, () => {
  let app: TestApp;
  let browser: Browser;
  let page: Page;
  const outside: string[] = [];
  const faults: string[] = [];

  before(async () => {
    app = await startTestApp();
    browser = await launchChromium();
    page = await browser.newPage();
    page.on('request', (sent) => {
      if (!/^(data|blob):/.test(sent.url()) && !sent.url().startsWith(`${app.url}/`)) outside.push(sent.url());
    });
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    await page.goto(app.url);
    await page.waitForSelector('.graphiql-execute-button');
  });
  after(async () => {
    await browser.close();
    await app.close();
  });

  const shown = (selector: string, text: string) => page.locator(selector, { hasText: text }).first().waitFor();
  const run = () => page.click('.graphiql-execute-button');
  /** GraphiQL learns a tab's operation a moment after it shows the tab: who is quicker than a person presses again. */
  const runShown = async (text: string, presses = 10): Promise<void> => {
    await run();
    const result = page.locator('.result-window', { hasText: text }).first();
    await result.waitFor({ timeout: presses > 1 ? 3_000 : 30_000 }).catch((error) => {
      if (presses <= 1) throw error;
      return runShown(text, presses - 1);
    });
  };

  it('the headers editor shows how to send a token', async () => {
    await page.getByRole('button', { name: 'Headers' }).click();
    await shown('.graphiql-editors', '<accessToken>');
    await page.getByRole('button', { name: 'Variables' }).click();
  });

  it('the first tab registers a user, and the page is signed in', async () => {
    await run();
    await shown('.result-window', 'accessToken');
    await shown('.session', 'Signed in as alice');
  });

  it('the next tabs ask with the session', async () => {
    await page.locator('.graphiql-tab-button', { hasText: 'Files' }).click();
    await runShown('LOCAL');
  });

  it('the tab that uploads needs no id from another tab', async () => {
    await page.locator('.graphiql-tab-button', { hasText: 'Upload' }).click();
    await runShown('/uploads/');
  });

  it('a subscription runs with the session too', async () => {
    const listening = page.waitForResponse((response) => response.headers()['content-type'] === 'text/event-stream');
    await page.goto(`${app.url}/graphql?query=${encodeURIComponent('subscription Listen { notice { message } }')}`);
    await page.waitForSelector('.graphiql-execute-button');
    await shown('.session', 'Signed in as alice');
    await run();
    await listening;
    const { data } = await app.graphql(
      'mutation { login(input: { username: "alice", password: "correct horse battery staple" }) { ... on LoginPayload { session { accessToken } } } }',
    );
    const broadcast = 'mutation { broadcast(input: { message: "Hello, everybody." }) { __typename } }';
    await app.graphql(broadcast, {}, data.login.session.accessToken);
    await shown('.result-window', 'Hello, everybody.');
  });

  it('no request left this machine, and nothing failed in the page', () => {
    assert.deepEqual(outside, []);
    assert.deepEqual(faults, []);
  });
});
