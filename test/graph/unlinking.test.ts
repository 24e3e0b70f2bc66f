import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { it } from 'node:test';
import { startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { startTestApp } from '../support/app.ts';
import { registerUser } from '../support/people.ts';
import { patch, settled, startUpload } from '../support/uploads.ts';

it('an account that is unlinked fails its transfers with an error that says so', { timeout: 60_000 }, async (t) => {
  const fake = await startBaiduFake();
  t.after(() => fake.close());
  const user = fake.createUser({ baiduName: 'ada' });
  const app = await startTestApp({
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
  t.after(() => app.close());
  const person = await registerUser(app);
  const linked = await app.graphql(
    `mutation ($input: UpsertAccountTokensInput!) { upsertAccountTokens(input: $input) {
       ... on UpsertAccountTokensPayload { account { id } } } }`,
    { input: { provider: 'BAIDU', ...fake.grant(user) } },
    person.token,
  );
  const accountId = linked.data.upsertAccountTokens.account.id;

  const bytes = randomBytes(9 * 1024 * 1024);
  const started = await startUpload(app, person, {
    parent: { path: { accountId, path: '/' } },
    name: 'film.mp4',
    size: bytes.length,
  });
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  fake.faults.inject({ match: { endpoint: 'superfile2' }, kind: 'slow', until: gate.promise, times: 100 });
  const watching = setInterval(() => fake.count('superfile2') > 0 && reached.resolve(), 5);
  const sending = patch(started.uploadUrl, 0, bytes);
  await reached.promise;
  clearInterval(watching);

  const unlinked = await app.graphql(
    'mutation ($id: ID!) { unlinkAccount(input: { accountId: $id }) { __typename ... on UserError { message } } }',
    { id: accountId },
    person.token,
  );
  assert.equal(unlinked.data.unlinkAccount.__typename, 'UnlinkAccountPayload', JSON.stringify(unlinked));
  gate.resolve();
  await sending;
  const transfer = await settled(app, person, started.transfer.id);
  assert.equal(transfer.state, 'FAILED', JSON.stringify(transfer));
  assert.match(transfer.error.code, /^(NOT_FOUND|REAUTHORIZATION_REQUIRED)$/);
  assert.deepEqual(
    fake.paths(user).filter((path) => path.endsWith('film.mp4')),
    [],
  );
  assert.ok(!app.logLines.some((line) => JSON.parse(line).level >= 50), 'nothing unexpected is in the log');
});
