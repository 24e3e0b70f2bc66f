import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchText, probe } from './probe.ts';

const startDevice = async (openapi: string, clientId: string) => {
  const query = new URLSearchParams({ response_type: 'device_code', client_id: clientId, scope: 'basic,netdisk' });
  return (await fetchText(`${openapi}/oauth/2.0/device/code?${query}`)).json;
};

test('a device code waits, is scanned, approved and redeemed once', async () => {
  const { fake, user, token } = await probe();
  await using _ = fake;
  const { device_code: code, interval } = await startDevice(fake.urls.openapi, fake.app.clientId);
  assert.equal(interval, 5);
  const poll = () => token({ grant_type: 'device_token', code: String(code) });
  const pending = await poll();
  assert.deepEqual([pending.status, pending.json.error], [400, 'authorization_pending']);
  assert.equal((await poll()).json.error, 'slow_down');
  fake.clock.advance(11_000);
  fake.devices.scan();
  assert.equal((await poll()).json.error, 'authorization_pending');
  fake.devices.approve(user);
  fake.clock.advance(11_000);
  const done = await poll();
  assert.equal(done.json.scope, 'basic netdisk');
  fake.clock.advance(11_000);
  assert.equal((await poll()).json.error, 'invalid_grant');
});

test('a device code is refused or runs out', async () => {
  const { fake, token } = await probe();
  await using _ = fake;
  const first = await startDevice(fake.urls.openapi, fake.app.clientId);
  fake.devices.deny();
  const declined = await token({ grant_type: 'device_token', code: String(first.device_code) });
  assert.equal(declined.json.error, 'authorization_declined');
  const second = await startDevice(fake.urls.openapi, fake.app.clientId);
  fake.clock.advance(300_000);
  const expired = await token({ grant_type: 'device_token', code: String(second.device_code) });
  assert.equal(expired.json.error, 'expired_token');
});

test('the browser flow gives a code for its own redirect address only, once', async () => {
  const { fake, user, token } = await probe({ app: { redirectUris: ['https://panql.example/back'] } });
  await using _ = fake;
  fake.setVisitor(user);
  const authorize = (redirect: string) =>
    fetchText(
      `${fake.urls.openapi}/oauth/2.0/authorize?${new URLSearchParams({
        response_type: 'code',
        client_id: fake.app.clientId,
        redirect_uri: redirect,
        scope: 'basic,netdisk',
        state: 's&1',
      })}`,
    );
  assert.equal((await authorize('https://evil.example/')).json.error, 'redirect_uri_mismatch');
  const target = new URL((await authorize('https://panql.example/back')).headers.get('location') ?? '');
  assert.equal(target.searchParams.get('state'), 's&1');
  const code = target.searchParams.get('code') ?? '';
  const redeem = (redirect: string) => token({ grant_type: 'authorization_code', code, redirect_uri: redirect });
  assert.equal((await redeem('https://panql.example/other')).json.error, 'invalid_grant');
  assert.equal((await redeem('https://panql.example/back')).status, 200);
  assert.equal((await redeem('https://panql.example/back')).json.error, 'invalid_grant');
});

test('a refresh token works once, also when its answer was lost', async () => {
  const { fake, token, refreshToken } = await probe();
  await using _ = fake;
  fake.loseNextRefreshAnswer();
  const refresh = () => token({ grant_type: 'refresh_token', refresh_token: refreshToken });
  await assert.rejects(refresh());
  const again = await refresh();
  assert.equal(again.status, 400);
  assert.deepEqual(again.json, { error: 'expired_token', error_description: 'refresh token has been used' });
  assert.equal(fake.refreshes, 1);
});

test('the token counts in the query only, and its end has the number that the settings name', async () => {
  const { fake, user, call, file, accessToken } = await probe();
  await using _ = fake;
  const headers = { authorization: `Bearer ${accessToken}` };
  const list = `${fake.urls.pan}/rest/2.0/xpan/file?method=list`;
  assert.equal((await fetchText(list, { headers })).json.errno, -6);
  assert.equal(fake.violations.length, 2);
  fake.expireTokens();
  const expired = await file('list');
  assert.equal(expired.json.errno, 20016);
  assert.match(expired.text, /"request_id":1\.8198936114954e\+17/);
  fake.settings.expiredTokenErrno = 111;
  assert.equal((await file('list')).json.errno, 111);
  const slice = await call('pcs', '/rest/2.0/pcs/superfile2', { method: 'upload' }, { method: 'POST' });
  assert.deepEqual([slice.status, slice.json.error_code], [401, 111]);
  const second = fake.grant(user);
  fake.revoke(user);
  assert.equal((await file('list', { access_token: second.accessToken })).json.errno, 20017);
});
