import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { openPan123Fixture, type Pan123Fixture } from '../../../test/conformance/fixtures/pan123.ts';
import { failure } from '../../../test/conformance/subject.ts';
import { DriveError } from '../../lib/drive-error.ts';
import { Secret } from '../../lib/secret.ts';
import type { Credentials, Linking } from '../linking.ts';
import { uploadServerUrl } from './hosts.ts';
import { createLinking } from './linking.ts';

const call = { signal: new AbortController().signal };
const REDIRECT = 'http://127.0.0.1/callback';
const LOGIN = '/api/v1/access_token';

describe('sign-in at 123pan', () => {
  let pan: Pan123Fixture;
  let linking: Required<Linking>;

  before(async () => {
    pan = await openPan123Fixture();
    linking = createLinking(pan.services) as Required<Linking>;
  });
  afterEach(() => pan.fake.faults.clear());
  after(() => pan.close());

  const typed = (clientSecret = pan.user.clientSecret) => ({ clientId: pan.user.clientId, clientSecret });
  const refused = async (act: Promise<unknown>): Promise<DriveError> => {
    const error = await act.then(
      () => assert.fail('it was not refused'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof DriveError);
    return error;
  };

  it('takes a client id and its secret, and keeps both for the next login', async () => {
    const { credentials, settings } = await linking.withCredentials(typed(), call);
    assert.deepEqual(settings, { clientId: pan.user.clientId });
    assert.deepEqual(Object.keys(credentials.secrets), ['clientId', 'clientSecret']);
    const daysLeft = ((credentials.tokens?.expiresAt?.getTime() ?? 0) - Date.now()) / 86_400_000;
    assert.ok(daysLeft > 29 && daysLeft < 31, String(daysLeft));
    const renewed = await linking.refresh(credentials, call);
    assert.notEqual(renewed.accessToken.reveal(), credentials.tokens?.accessToken.reveal());
  });

  it('tries a login once, whatever comes of it', async () => {
    const before = pan.fake.count(LOGIN);
    assert.equal((await refused(linking.withCredentials(typed('wrong'), call))).category, 'unauthenticated');
    pan.fake.faults.inject({ kind: 'status', status: 502, match: { path: LOGIN }, times: 9 });
    assert.equal((await refused(linking.withCredentials(typed(), call))).category, 'unavailable');
    assert.equal(pan.fake.count(LOGIN) - before, 2);
  });

  it('loses nothing with a login whose answer was lost', async () => {
    const { credentials } = await linking.withCredentials(typed(), call);
    pan.fake.faults.inject({ kind: 'cut', phase: 'after', match: { path: LOGIN } });
    const error = await refused(linking.refresh(credentials, call));
    assert.deepEqual([error.category, error.nothingDone], ['unavailable', true]);
    assert.ok((await linking.refresh(credentials, call)).accessToken);
  });

  it('shows the page of the application, and exchanges its code once', async () => {
    const url = new URL(linking.authorizationUrl({ state: 's', redirectUri: REDIRECT, codeChallenge: 'c' }));
    assert.deepEqual(Object.fromEntries(url.searchParams), {
      client_id: pan.fake.app.clientId,
      redirect_uri: REDIRECT,
      scope: 'user:base,file:all:read,file:all:write',
      state: 's',
    });
    const exchange = { code: pan.fake.issueCode(pan.user, REDIRECT), redirectUri: REDIRECT, codeVerifier: 'v' };
    const tokens = await linking.exchangeCode(exchange, call);
    assert.ok(tokens.refreshToken);
    assert.equal((await refused(linking.exchangeCode(exchange, call))).category, 'unauthenticated');

    const credentials: Credentials = { tokens, secrets: {} };
    const renewed = await linking.refresh(credentials, call);
    assert.notEqual(renewed.refreshToken?.reveal(), tokens.refreshToken?.reveal());
    assert.equal((await refused(linking.refresh(credentials, call))).category, 'unauthenticated', 'it works once');
  });

  it('has no page where the operator has no application, and says what its accounts lack then', async () => {
    const none = createLinking({ ...pan.services, pan123: { ...pan.services.pan123, clientId: null } });
    assert.equal(none.authorizationUrl, undefined);
    assert.ok(none.withCredentials);
    const tokens = { accessToken: new Secret('a'), refreshToken: new Secret('r'), expiresAt: null };
    const error = await refused(none.refresh?.({ tokens, secrets: {} }, call) ?? Promise.resolve());
    assert.match(error.hint ?? '', /PAN123_CLIENT_ID/);
  });

  it('comes back after three newer logins of other programs pushed its token out', async () => {
    const other = await openPan123Fixture();
    const { drive, fake, user } = other;
    await drive.run('stat', '0', call);
    await drive.run('profile', call);
    for (let others = 0; others < 3; others += 1) fake.developerToken(user);
    const before = fake.logins;
    await Promise.all(Array.from({ length: 5 }, () => drive.run('profile', call)));
    assert.equal(fake.logins, before + 1, 'one login for all');
    fake.revoke(user);
    await failure(drive.run('profile', call), 'unauthenticated');
    await other.close();
  });
});

describe('the upload servers of 123pan', () => {
  const API = 'https://open-api.123pan.com';
  for (const [named, url] of [
    ['http://openapi-upload.123242.com', 'https://openapi-upload.123242.com'],
    ['openapi-upload.123242.com/', 'https://openapi-upload.123242.com'],
    ['https://openapi-upload.123242.com:8443//', 'https://openapi-upload.123242.com:8443'],
    ['ftp://files.example', null],
    ['https://user:pass@files.example', null],
    ['', null],
  ] as const) {
    it(`are reached by TLS: ${JSON.stringify(named)}`, () => assert.equal(uploadServerUrl(named, API), url));
  }

  it('are reached as the API is, where that is an imitation without TLS', () => {
    assert.equal(uploadServerUrl('127.0.0.1:4001/', 'http://127.0.0.1:4000'), 'http://127.0.0.1:4001');
  });
});
