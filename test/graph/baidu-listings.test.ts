import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type BaiduFake, startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type Person, registerUser } from '../support/people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

/** As many as would take more calls than Baidu allows in a minute, were each page of a client one. */
const FILES = 1_050;

describe('listings of which Baidu allows few calls', { timeout: 120_000 }, () => {
  let fake: BaiduFake;
  let app: TestApp;
  let person: Person;
  let accountId: string;

  before(async () => {
    fake = await startBaiduFake();
    const user = fake.createUser();
    for (let index = 0; index < FILES; index += 1) fake.seedFile(user, `/apps/demo/${index % 7}/${index}.mp3`, 1);
    app = await startTestApp({
      settings: {
        BAIDU_CLIENT_ID: fake.app.clientId,
        BAIDU_CLIENT_SECRET: fake.app.clientSecret,
        BAIDU_APP_ROOT: '/apps/demo',
        BAIDU_OPENAPI_URL: fake.urls.openapi,
        BAIDU_PAN_URL: fake.urls.pan,
        BAIDU_PCS_URL: fake.urls.pcs,
        OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
        LIST_CACHE_SECONDS: '0', // The rest of a page that was read is given all the same.
      },
    });
    person = await registerUser(app);
    const { accessToken, refreshToken } = fake.grant(user);
    const { data } = await app.graphql<Answer>(
      `mutation ($input: UpsertAccountTokensInput!) { upsertAccountTokens(input: $input) {
         ... on UpsertAccountTokensPayload { account { id } } } }`,
      { input: { provider: 'BAIDU', accessToken, refreshToken, expiresInSeconds: 2_592_000 } },
      person.token,
    );
    accountId = data.upsertAccountTokens.account.id;
  });
  after(async () => {
    await app.close();
    await fake.close();
    assert.deepEqual(fake.violations, []);
  });

  for (const [what, selection, endpoint, count] of [
    ['all files', 'recursive: true', 'listall', FILES + 7],
    ['files of a kind', 'category: AUDIO', 'categorylist', FILES],
  ] as const) {
    it(`${what} are read in the longest pages, and given out in parts`, async () => {
      const seen = new Set<string>();
      for (let after: string | null = null; ; ) {
        const { data, errors }: Answer = await app.graphql<Answer>(
          `query ($id: ID!, $after: String) { node(id: $id) { ... on CloudAccount {
             entries(${selection}, first: 100, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } } } }`,
          { id: accountId, after },
          person.token,
        );
        assert.equal(errors, undefined, JSON.stringify(errors));
        const { nodes, pageInfo } = data.node.entries;
        for (const { id } of nodes) seen.add(id);
        if (!pageInfo.hasNextPage) break;
        after = pageInfo.endCursor;
      }
      assert.deepEqual([seen.size, fake.count(endpoint)], [count, 2]);
    });
  }
});
