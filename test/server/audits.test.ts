import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { serverAudits } from 'graphql-http';
import { startTestApp, type TestApp } from '../support/app.ts';

/** How many audits graphql-http 1.23 has. Fewer would be audits lost. */
const AUDITS = 61;

describe('GraphQL over HTTP, as graphql-http audits it', () => {
  let app: TestApp;
  before(async () => {
    app = await startTestApp();
  });
  after(() => app.close());

  const audits = serverAudits({ url: () => `${app.url}/graphql` });
  it(`has ${AUDITS} audits`, () => {
    assert.equal(audits.length, AUDITS);
  });
  for (const { id, name, fn } of audits) {
    it(`${id}: ${name}`, async () => {
      const { status, ...result } = await fn();
      assert.equal(status, 'ok', 'reason' in result ? result.reason : undefined);
    });
  }
});
