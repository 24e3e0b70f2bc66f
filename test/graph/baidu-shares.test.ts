import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type BaiduFake, startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { type Person, registerUser } from '../support/people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const SHARE = 'id url password remark expiresAt active entries { name }';
const CREATE = `mutation ($input: CreateShareInput!) {
  result: createShare(input: $input) {
    ... on CreateSharePayload { share { ${SHARE} } } ... on UserError { code message }
  }
}`;

/** The whole server, and the netdisk's imitation behind it: nothing between is replaced. */
describe('shares and pictures of a netdisk', { timeout: 60_000 }, () => {
  let fake: BaiduFake;
  let app: TestApp;
  let person: Person;
  const accounts: string[] = [];
  let shareId = '';

  before(async () => {
    fake = await startBaiduFake();
    app = await startTestApp({
      settings: {
        BAIDU_CLIENT_ID: fake.app.clientId,
        BAIDU_CLIENT_SECRET: fake.app.clientSecret,
        BAIDU_APP_ID: fake.app.appId,
        BAIDU_APP_ROOT: '/apps/demo',
        BAIDU_OPENAPI_URL: fake.urls.openapi,
        BAIDU_PAN_URL: fake.urls.pan,
        BAIDU_PCS_URL: fake.urls.pcs,
        OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
      },
    });
    person = await registerUser(app);
    for (const shareGrant of [true, false]) {
      const user = fake.createUser({ baiduName: `ada-${shareGrant}`, shareGrant });
      fake.seedFile(user, '/apps/demo/Report.pdf', 'a report');
      fake.seedFile(user, '/apps/demo/Picture.jpg', 'a picture');
      const { data } = await ask(
        'mutation ($input: UpsertAccountTokensInput!) { upsertAccountTokens(input: $input) { ... on UpsertAccountTokensPayload { account { id } } } }',
        { input: { provider: 'BAIDU', ...fake.grant(user) } },
      );
      accounts.push(data.upsertAccountTokens.account.id);
    }
  });
  after(async () => {
    await app.close();
    await fake.close();
  });

  const ask = (document: string, variables: object): Promise<GraphqlAnswer<Answer>> =>
    app.graphql<Answer>(document, variables, person.token);
  const create = async (more: object, accountId = accounts[0]): Promise<Answer> => {
    const input = { entries: [{ path: { accountId, path: '/Report.pdf' } }], days: 7, ...more };
    return (await ask(CREATE, { input })).data.result;
  };

  it('are shared with a password, and listed here', async () => {
    const { share } = await create({ password: 'ab12', remark: 'For you' });
    assert.deepEqual(
      [share.password, share.remark, share.active, share.entries],
      ['ab12', 'For you', true, [{ name: 'Report.pdf' }]],
    );
    shareId = share.id;
    const drawn = await create({});
    assert.match(drawn.share.password, /^[0-9a-z]{4}$/);
    const { data } = await ask(
      `query ($id: ID!) { node(id: $id) { ... on CloudAccount { shares { nodes { ${SHARE} } } } } }`,
      { id: accounts[0] },
    );
    assert.deepEqual(data.node.shares.nodes, [drawn.share, share]);
  });

  it('follow its rules of passwords and days, and end by their time only', async () => {
    assert.equal((await create({ password: 'too long' })).code, 'INVALID_INPUT');
    assert.equal((await create({ days: 0 })).code, 'INVALID_INPUT');
    const { data } = await ask(
      'mutation ($id: ID!) { cancelShare(input: { id: $id }) { ... on UnsupportedError { ability } } }',
      { id: shareId },
    );
    assert.deepEqual(data.cancelShare, { ability: 'SHARE_CANCEL' });
  });

  it('are refused with its code where the application has not the right', async () => {
    const refused = await create({}, accounts[1]);
    assert.equal(refused.code, 'PERMISSION_DENIED');
    assert.match(refused.message, /13998/);
  });

  it('tells pictures of files; of others that there are none', async () => {
    const { data, errors } = await ask(
      `query ($id: ID!) { node(id: $id) { ... on CloudAccount {
        picture: entry(path: "/Picture.jpg") { ... on File { thumbnails { url width } preview { url } media { width playlistUrl } } }
        report: entry(path: "/Report.pdf") { ... on File { thumbnails { url } preview { url } } } } } }`,
      { id: accounts[0] },
    );
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.ok(data.node.picture.thumbnails.length > 0);
    assert.equal(data.node.picture.preview.url, data.node.picture.thumbnails.at(-1).url);
    assert.equal(data.node.picture.media.playlistUrl, null);
    assert.deepEqual(data.node.report.thumbnails, []);
  });
});
