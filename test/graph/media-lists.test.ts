import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type BaiduFake, startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type Person, registerUser } from '../support/people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const LIST = 'id name fileCount files(first: 2) { nodes { name } pageInfo { hasNextPage endCursor } }';

describe('lists of films and sounds', { timeout: 120_000 }, () => {
  let fake: BaiduFake;
  let app: TestApp;
  let person: Person;
  let accountId: string;

  before(async () => {
    fake = await startBaiduFake();
    const user = fake.createUser();
    const films = ['one', 'two', 'three'].map((name) => fake.seedFile(user, `/apps/demo/${name}.mp4`, name));
    fake.seedPlaylist(user, 'Evenings', films);
    app = await startTestApp({
      settings: {
        BAIDU_CLIENT_ID: fake.app.clientId,
        BAIDU_CLIENT_SECRET: fake.app.clientSecret,
        BAIDU_APP_ROOT: '/apps/demo',
        BAIDU_OPENAPI_URL: fake.urls.openapi,
        BAIDU_PAN_URL: fake.urls.pan,
        BAIDU_PCS_URL: fake.urls.pcs,
        OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
      },
    });
    person = await registerUser(app);
    const { accessToken, refreshToken } = fake.grant(user);
    const input = { provider: 'BAIDU', accessToken, refreshToken, expiresInSeconds: 2_592_000 };
    const { upsertAccountTokens } = await ask(
      `mutation ($input: UpsertAccountTokensInput!) { upsertAccountTokens(input: $input) {
         ... on UpsertAccountTokensPayload { account { id abilities } } } }`,
      { input },
    );
    assert.ok(upsertAccountTokens.account.abilities.includes('MEDIA_LISTS'));
    accountId = upsertAccountTokens.account.id;
  });
  after(async () => {
    await app.close();
    await fake.close();
    assert.deepEqual(fake.violations, []);
  });

  async function ask(document: string, variables: object = {}, who = person): Promise<Answer> {
    const { data, errors } = await app.graphql<Answer>(document, variables, who.token);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  }
  const lists = async (): Promise<Answer> =>
    (
      await ask(`query ($id: ID!) { node(id: $id) { ... on CloudAccount { mediaLists { nodes { ${LIST} } } } } }`, {
        id: accountId,
      })
    ).node.mediaLists.nodes;

  it('are told with their files, in their order', async () => {
    const [list, ...others] = await lists();
    assert.deepEqual(others, []);
    assert.deepEqual([list.name, list.fileCount], ['Evenings', 3]);
    assert.deepEqual(list.files.nodes, [{ name: 'one.mp4' }, { name: 'two.mp4' }]);
    const more = await ask(
      'query ($id: ID!, $after: String) { node(id: $id) { ... on MediaList { files(after: $after) { nodes { name } } } } }',
      { id: list.id, after: list.files.pageInfo.endCursor },
    );
    assert.deepEqual(more.node.files.nodes, [{ name: 'three.mp4' }]);
  });

  it('are nobody else’s, and none is made up', async () => {
    const [{ id }] = await lists();
    const other = await registerUser(app);
    assert.equal((await ask('query ($id: ID!) { node(id: $id) { id } }', { id }, other)).node, null);
    const unknown = Buffer.from(Buffer.from(id, 'base64url').toString().replace(/\d+$/, '1')).toString('base64url');
    assert.equal((await ask('query ($id: ID!) { node(id: $id) { id } }', { id: unknown })).node, null);
  });

  it('are not there on a drive that tells none', async () => {
    const { errors } = await app.graphql<Answer>(
      '{ viewer { accounts(first: 1) { nodes { mediaLists { nodes { id } } } } } }',
      {},
      person.token,
    );
    assert.equal(errors?.[0]?.extensions?.code, 'UNSUPPORTED');
  });
});
