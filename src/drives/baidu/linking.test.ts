import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type BaiduFixture, openBaiduFixture } from '../../../test/conformance/fixtures/baidu.ts';
import { Secret } from '../../lib/secret.ts';
import type { Credentials, DeviceStart, Linking, Tokens } from '../linking.ts';
import { createLinking } from './linking.ts';

const call = { signal: new AbortController().signal };
const credentialsOf = (tokens: Tokens): Credentials => ({ tokens, secrets: {} });

describe("sign-in at Baidu's", () => {
  let baidu: BaiduFixture;
  let linking: Required<Linking>;

  before(async () => {
    baidu = await openBaiduFixture();
    linking = createLinking(baidu.services) as Required<Linking>;
  });
  afterEach(() => baidu.fake.faults.clear());
  after(() => baidu.close());

  /** Polls after the interval that was asked for. */
  const poll = (state: unknown, intervalMs: number) => {
    baidu.fake.clock.advance(intervalMs);
    return linking.pollDevice(state, call);
  };
  const started = async (): Promise<DeviceStart> => linking.startDevice(call);
  const approved = async (): Promise<Tokens> => {
    const { state, intervalMs } = await started();
    baidu.fake.devices.approve(baidu.user);
    const outcome = await poll(state, intervalMs);
    assert.ok(outcome.outcome === 'APPROVED');
    return outcome.tokens;
  };

  it('needs an application', () => {
    const { services } = baidu;
    assert.equal(createLinking({ ...services, baidu: { ...services.baidu, clientId: null } }), null);
    assert.equal(createLinking({ ...services, baidu: { ...services.baidu, clientSecret: null } }), null);
  });

  it('begins with a code to scan or type', async () => {
    const start = await started();
    assert.match(start.userCode ?? '', /^\w+$/);
    assert.ok(start.qrContent.includes(encodeURIComponent(start.userCode ?? '')));
    assert.ok(start.intervalMs > 5000, 'the interval must be exceeded');
    assert.ok(start.expiresAt > new Date());
    JSON.stringify(start.state);
  });

  it('waits, and has tokens once the person agreed', async () => {
    const { state, intervalMs } = await started();
    assert.deepEqual(await poll(state, intervalMs), { outcome: 'PENDING' });
    baidu.fake.devices.scan();
    assert.deepEqual(await poll(state, intervalMs), { outcome: 'PENDING' });
    baidu.fake.devices.approve(baidu.user);
    const outcome = await poll(state, intervalMs);
    assert.ok(outcome.outcome === 'APPROVED');
    assert.ok(outcome.tokens.accessToken.reveal().length > 0);
    assert.ok((outcome.tokens.expiresAt?.getTime() ?? 0) > Date.now() + 29 * 86_400_000);
    assert.deepEqual(await poll(state, intervalMs), { outcome: 'EXPIRED' }, 'a code works once');
  });

  it('waits longer when it was too fast, and keeps to that', async () => {
    const { state, intervalMs } = await started();
    await poll(state, intervalMs);
    const hasty = await linking.pollDevice(state, call);
    assert.ok(hasty.outcome === 'PENDING');
    assert.equal(hasty.intervalMs, intervalMs + 5000);
    assert.equal((hasty.state as { intervalMs: number }).intervalMs, intervalMs + 5000);
  });

  it('ends when the person refuses, or nobody comes', async () => {
    const refused = await started();
    baidu.fake.devices.deny();
    assert.deepEqual(await poll(refused.state, refused.intervalMs), { outcome: 'DENIED' });
    const late = await started();
    assert.deepEqual(await poll(late.state, 3_600_000), { outcome: 'EXPIRED' });
  });

  it('tells a wrong application from a refusal', async () => {
    const { services } = baidu;
    const wrong = createLinking({ ...services, baidu: { ...services.baidu, clientSecret: new Secret('wrong') } });
    const { state } = await started();
    await assert.rejects(async () => wrong?.pollDevice?.(state, call), { category: 'permission_denied' });
  });

  it('goes by a page, with a code that works once', async () => {
    const redirectUri = 'http://127.0.0.1/callback';
    const url = new URL(linking.authorizationUrl({ state: 's t', redirectUri, codeChallenge: 'x' }));
    assert.equal(url.searchParams.get('state'), 's t');
    baidu.fake.setVisitor(baidu.user);
    const answer = await fetch(url, { redirect: 'manual' });
    const back = new URL(answer.headers.get('location') ?? '');
    assert.equal(back.searchParams.get('state'), 's t');
    const exchange = { code: back.searchParams.get('code') ?? '', redirectUri, codeVerifier: 'x' };
    const tokens = await linking.exchangeCode(exchange, call);
    assert.ok(tokens.refreshToken);
    await assert.rejects(linking.exchangeCode(exchange, call), { category: 'unauthenticated' });
  });

  it('renews a pair, whose refresh token is then of no use', async () => {
    const first = await approved();
    const second = await linking.refresh(credentialsOf(first), call);
    assert.notEqual(second.accessToken.reveal(), first.accessToken.reveal());
    await assert.rejects(linking.refresh(credentialsOf(first), call), {
      category: 'unauthenticated',
      providerCode: 'expired_token',
    });
    await linking.refresh(credentialsOf(second), call);
  });

  it('does not send a refresh token again by itself when the answer is lost', async () => {
    const tokens = await approved();
    const before = baidu.fake.refreshes;
    baidu.fake.loseNextRefreshAnswer();
    await assert.rejects(linking.refresh(credentialsOf(tokens), call), { category: 'unavailable' });
    assert.equal(baidu.fake.refreshes, before + 1);
  });

  it('cannot renew what came without a refresh token', async () => {
    const tokens = { ...(await approved()), refreshToken: null };
    await assert.rejects(linking.refresh(credentialsOf(tokens), call), { category: 'unauthenticated' });
  });

  it('says honestly whether a grant was ended', async () => {
    const ended = await linking.revoke(credentialsOf(await approved()), call).catch((error) => error.category);
    assert.ok(typeof ended === 'boolean' || typeof ended === 'string');
    assert.equal(await linking.revoke({ tokens: null, secrets: {} }, call), false);
  });

  it('writes no secret to the log', async () => {
    const tokens = await approved();
    const lines = baidu.lines.join('\n');
    for (const secret of [tokens.accessToken, tokens.refreshToken, baidu.services.baidu.clientSecret])
      assert.ok(secret && !lines.includes(secret.reveal()));
  });
});
