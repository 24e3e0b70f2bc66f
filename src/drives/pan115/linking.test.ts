import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { openPan115Fixture, type Pan115Fixture } from '../../../test/conformance/fixtures/pan115.ts';
import { Secret } from '../../lib/secret.ts';
import type { Credentials, DeviceStart, Linking, Tokens } from '../linking.ts';
import { createLinking } from './linking.ts';

const call = { signal: new AbortController().signal };
const MINUTE_MS = 60_000;
const credentialsOf = (tokens: Tokens): Credentials => ({ tokens, secrets: {} });

describe("sign-in at 115's", () => {
  let pan115: Pan115Fixture;
  let linking: Required<Linking>;

  before(async () => {
    pan115 = await openPan115Fixture();
    linking = createLinking(pan115.services) as Required<Linking>;
  });
  afterEach(() => pan115.fake.faults.clear());
  after(async () => {
    // What a dead token does when it is tried again is tried here on purpose.
    pan115.fake.violations.length = 0;
    await pan115.close();
  });

  const started = (): Promise<DeviceStart> => linking.startDevice(call);
  const approved = async (): Promise<Tokens> => {
    const { state } = await started();
    pan115.fake.devices.approve(pan115.user);
    const outcome = await linking.pollDevice(state, call);
    assert.ok(outcome.outcome === 'APPROVED');
    return outcome.tokens;
  };
  const last = (endpoint: string) => pan115.fake.requests.findLast((request) => request.endpoint === endpoint);

  it('needs no application for tokens that another one got, no secret for a code, and both for a page', () => {
    const withSettings = (more: object) =>
      createLinking({ ...pan115.services, pan115: { ...pan115.services.pan115, ...more } });
    const bare = withSettings({ clientId: null });
    assert.deepEqual(
      [bare.startDevice, bare.authorizationUrl, typeof bare.refresh],
      [undefined, undefined, 'function'],
    );
    const code = withSettings({ clientSecret: null });
    assert.deepEqual(
      [typeof code.startDevice, code.authorizationUrl, code.exchangeCode],
      ['function', undefined, undefined],
    );
  });

  it('proves what it asked for, as the reference shows it', () => {
    // The reference's own values for a verifier of 64 zeros.
    const digest = createHash('sha256').update('0'.repeat(64)).digest('base64');
    assert.equal(digest, 'YOBb0bGVry+UES+nGXpciCiQWIQM58bflpN1a8YlD1U=');
  });

  it('begins with a picture to scan, and nothing to type', async () => {
    const start = await started();
    assert.equal(start.userCode, null);
    assert.match(start.qrContent, /^https:\/\/115\.com\/scan\/dg-/);
    assert.ok(start.expiresAt > pan115.fake.clock.now());
    const { form = {} } = last('authDeviceCode') ?? {};
    assert.deepEqual(Object.keys(form).toSorted(), ['client_id', 'code_challenge', 'code_challenge_method']);
    const { verifier } = start.state as { verifier: string };
    assert.ok(verifier.length >= 43 && verifier.length <= 128);
    assert.equal(form.code_challenge, createHash('sha256').update(verifier).digest('base64'));
  });

  it('waits, sees the scan, and has tokens once the person agreed', async () => {
    const { state } = await started();
    assert.deepEqual(await linking.pollDevice(state, call), { outcome: 'PENDING' });
    pan115.fake.devices.scan();
    const scanned = await linking.pollDevice(state, call);
    assert.ok(scanned.outcome === 'SCANNED' && scanned.state);
    const still = await linking.pollDevice(scanned.state, call);
    assert.equal(still.outcome, 'SCANNED', 'it stays so while nothing happens');
    pan115.fake.devices.approve(pan115.user);
    const outcome = await linking.pollDevice(scanned.state, call);
    assert.ok(outcome.outcome === 'APPROVED');
    assert.ok(outcome.tokens.refreshToken);
    const leftMs = (outcome.tokens.expiresAt?.getTime() ?? 0) - pan115.fake.clock.now().getTime();
    assert.ok(Math.abs(leftMs - 7_200_000) < 5_000, 'as long as 115 says');
    assert.deepEqual(Object.keys(last('deviceCodeToToken')?.form ?? {}).toSorted(), ['code_verifier', 'uid']);
  });

  it('goes on waiting when a look takes too long, or breaks', async () => {
    const { state } = await started();
    for (const fault of [
      { kind: 'cut', phase: 'after' },
      { kind: 'status', status: 502 },
      { kind: 'code', code: 50199004 },
    ] as const) {
      pan115.fake.faults.inject({ ...fault, match: { endpoint: 'status' } });
      assert.deepEqual(await linking.pollDevice(state, call), { outcome: 'PENDING' });
    }
  });

  it('ends when the person refuses, or nobody comes', async () => {
    const refused = await started();
    pan115.fake.devices.cancel();
    assert.deepEqual(await linking.pollDevice(refused.state, call), { outcome: 'DENIED' });
    const late = await started();
    pan115.fake.clock.advance(10 * MINUTE_MS);
    assert.deepEqual(await linking.pollDevice(late.state, call), { outcome: 'EXPIRED' });
    const odd = await started();
    for (const code of [0, 40140104, 12345]) {
      pan115.fake.faults.inject({ kind: 'code', code, match: { endpoint: 'status' } });
      assert.deepEqual(await linking.pollDevice(odd.state, call), { outcome: 'EXPIRED' });
    }
  });

  it('tells a wrong application from an outage', async () => {
    const wrong = createLinking({
      ...pan115.services,
      pan115: { ...pan115.services.pan115, clientId: '1' },
    });
    await assert.rejects(async () => wrong.startDevice?.(call), {
      category: 'permission_denied',
      providerCode: '40140100',
    });
  });

  it('goes by a page, with a code that works once', async () => {
    const redirectUri = 'http://127.0.0.1/callback';
    const url = new URL(linking.authorizationUrl({ state: 's t', redirectUri, codeChallenge: 'x' }));
    assert.deepEqual([...url.searchParams.keys()].toSorted(), ['client_id', 'redirect_uri', 'response_type', 'state']);
    pan115.fake.setVisitor(pan115.user);
    const answer = await fetch(url, { redirect: 'manual' });
    const back = new URL(answer.headers.get('location') ?? '');
    assert.equal(back.searchParams.get('state'), 's t');
    const exchange = { code: back.searchParams.get('code') ?? '', redirectUri, codeVerifier: 'x' };
    assert.ok((await linking.exchangeCode(exchange, call)).refreshToken);
    await assert.rejects(linking.exchangeCode(exchange, call), {
      category: 'unauthenticated',
      providerCode: '40140134',
    });
  });

  it('renews a pair by its token alone; both are new, and the old one is of no use', async () => {
    const first = await approved();
    const second = await linking.refresh(credentialsOf(first), call);
    assert.deepEqual(Object.keys(last('refreshToken')?.form ?? {}), ['refresh_token']);
    assert.notEqual(second.accessToken.reveal(), first.accessToken.reveal());
    assert.notEqual(second.refreshToken?.reveal(), first.refreshToken?.reveal());
    await assert.rejects(linking.refresh(credentialsOf(first), call), {
      category: 'unauthenticated',
      providerCode: '40140120',
    });
    pan115.fake.clock.advance(MINUTE_MS + 1);
    await linking.refresh(credentialsOf(second), call);
  });

  it('says that it was too soon, which kills nothing and keeps nobody else waiting', async () => {
    assert.equal(linking.refreshIntervalMinMs, MINUTE_MS);
    const renewed = await linking.refresh(credentialsOf(await approved()), call);
    const before = pan115.fake.refreshes;
    await assert.rejects(linking.refresh(credentialsOf(renewed), call), {
      category: 'rate_limited',
      retryAfterMs: MINUTE_MS,
      nothingDone: true,
    });
    assert.equal(pan115.fake.refreshes, before);
    await linking.refresh(credentialsOf(await approved()), call);
  });

  it('takes the end of an authorization for one', async () => {
    const tokens = await approved();
    pan115.fake.revoke(pan115.user);
    await assert.rejects(linking.refresh(credentialsOf(tokens), call), {
      category: 'unauthenticated',
      providerCode: '40140116',
    });
    const old = await approved();
    pan115.fake.clock.advance(366 * 86_400_000);
    await assert.rejects(linking.refresh(credentialsOf(old), call), {
      category: 'unauthenticated',
      providerCode: '40140119',
    });
  });

  it('does not send a refresh token again at once when the answer is lost', async () => {
    const tokens = await approved();
    const [before, refreshes] = [pan115.fake.count('refreshToken'), pan115.fake.refreshes];
    pan115.fake.loseNextRefreshAnswer();
    await assert.rejects(linking.refresh(credentialsOf(tokens), call), { category: 'unavailable', nothingDone: false });
    assert.equal(pan115.fake.count('refreshToken'), before + 1);
    assert.equal(pan115.fake.refreshes, refreshes + 1, 'it was used up there');
    assert.equal(linking.refreshResendMax, 1, 'later, once: whether 115 saw it is not known');
  });

  it('sends it again after a page of a gateway, which used nothing up', async () => {
    pan115.fake.faults.inject({ kind: 'html', status: 502, match: { endpoint: 'refreshToken' }, times: 2 });
    assert.ok((await linking.refresh(credentialsOf(await approved()), call)).refreshToken);
  });

  it('keeps a pair that comes without its lifetime: the one before is used up', async () => {
    const old = await approved();
    pan115.fake.settings.tellsLifetime = false;
    const fresh = await linking.refresh(credentialsOf(old), call);
    assert.ok(fresh.refreshToken && fresh.refreshToken.reveal() !== old.refreshToken?.reveal());
    const leftMs = (fresh.expiresAt?.getTime() ?? 0) - pan115.fake.clock.now().getTime();
    assert.ok(leftMs > 7_100_000 && leftMs <= 7_200_000, `${leftMs} ms`);
  });

  it('cannot renew what came without a refresh token', async () => {
    const tokens = { ...(await approved()), refreshToken: null };
    await assert.rejects(linking.refresh(credentialsOf(tokens), call), { category: 'unauthenticated' });
  });

  it('writes no secret to the log', async () => {
    const tokens = await approved();
    const lines = pan115.lines.join('\n');
    for (const secret of [tokens.accessToken, tokens.refreshToken, new Secret(pan115.fake.app.clientSecret)])
      assert.ok(secret && !lines.includes(secret.reveal()));
    const { uid, sign } = pan115.fake.devices.all.at(-1) ?? assert.fail();
    assert.ok(!lines.includes(uid) && !lines.includes(sign));
  });
});
