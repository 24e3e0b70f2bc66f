import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createClient } from 'graphql-sse';
import type { TestApp } from '../support/app.ts';
import { type Person, registerUser } from '../support/people.ts';
import { probe, Source, startProbedApp } from '../support/probe-app.ts';
import { ask, openSse, type Result } from '../support/transports.ts';

const TICKS = 'subscription { probeTicks }';

/** Opens the stream and takes its first event: it is live from then on. */
async function begin(url: string, token: string): Promise<AsyncGenerator<Result>> {
  const results = openSse(url, { query: TICKS, token });
  const first = results.next();
  probe.source.push(1);
  assert.deepEqual((await first).value, { data: { probeTicks: 1 } });
  return results;
}

describe('subscriptions by server-sent events', () => {
  let app: TestApp;
  let person: Person;
  before(async () => {
    app = await startProbedApp();
    person = await registerUser(app);
  });
  after(() => app.close());
  beforeEach(() => {
    probe.source = new Source();
  });

  it('the reference client subscribes, and leaving ends the source', async () => {
    const client = createClient({
      url: `${app.url}/graphql`,
      headers: { authorization: `Bearer ${person.token}` },
      retryAttempts: 0,
    });
    const ticks = client.iterate({ query: TICKS });
    const first = ticks.next();
    probe.source.push(1);
    assert.deepEqual((await first).value, { data: { probeTicks: 1 } });
    await ticks.return?.();
    await probe.source.ended;
    client.dispose();
  });

  it('the reference client queries', async () => {
    const client = createClient({ url: `${app.url}/graphql`, retryAttempts: 0 });
    const query = client.iterate({ query: '{ __typename }' });
    assert.deepEqual((await query.next()).value, { data: { __typename: 'Query' } });
    assert.equal((await query.next()).done, true);
    client.dispose();
  });

  it('a client that vanishes ends its source, though that waits for what never comes', async () => {
    const client = new AbortController();
    const results = openSse(app.url, { query: 'subscription { probeSilence }', token: person.token }, client.signal);
    await results.next();
    const ended = once(probe.signal, 'abort');
    client.abort();
    await assert.rejects(results.next());
    await ended;
    while ((await openStreams(app)) > 0);
  });

  it('a source that ends completes the stream', async () => {
    const results = await begin(app.url, person.token);
    await probe.source.return();
    assert.equal((await results.next()).done, true);
  });

  it('the end of the session ends the stream, and says so', async () => {
    const other = await registerUser(app);
    const results = await begin(app.url, other.token);
    await app.graphql('mutation { logout(input: {}) { __typename } }', {}, other.token);
    const { value } = await results.next();
    assert.deepEqual(value, { errors: [{ message: 'Session ended', extensions: { code: 'UNAUTHENTICATED' } }] });
    assert.equal((await results.next()).done, true);
    await probe.source.ended;
  });

  it('the stream of another user goes on', async () => {
    const other = await registerUser(app);
    const results = await begin(app.url, person.token);
    await app.app.events.publish('grant.revoked', { userId: other.userId, grantIds: 'all' });
    probe.source.push(2);
    assert.deepEqual((await results.next()).value, { data: { probeTicks: 2 } });
    await results.return(undefined);
  });

  it('a session that ended while the stream opened ends it', async () => {
    const other = await registerUser(app);
    const { authenticate } = app.app.services.identity;
    let looks = 0;
    app.app.services.identity.authenticate = async (token) => {
      looks += 1;
      return looks === 1 ? authenticate.call(app.app.services.identity, token) : null;
    };
    try {
      const results: Result[] = [];
      for await (const result of openSse(app.url, { query: TICKS, token: other.token })) results.push(result);
      assert.equal(results.at(-1)?.errors?.[0]?.extensions?.code, 'UNAUTHENTICATED');
    } finally {
      app.app.services.identity.authenticate = authenticate;
    }
  });

  it('a hundred streams that come and go leave nothing open', async () => {
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(
        Array.from({ length: 20 }, async () => {
          const client = new AbortController();
          const results = openSse(
            app.url,
            { query: 'subscription { probeSilence }', token: person.token },
            client.signal,
          );
          await results.next();
          client.abort();
          await results.next().catch(() => {});
        }),
      );
    }
    while ((await openStreams(app)) > 0);
  });

  it('the end of the server ends the stream, and says so', async () => {
    const results = await begin(app.url, person.token);
    const drained = app.app.drain({ noticeMs: 0, finishMs: 5_000 });
    const { value } = await results.next();
    assert.deepEqual((value as Result).errors?.[0]?.extensions, { code: 'SHUTTING_DOWN' });
    assert.equal((await results.next()).done, true);
    await drained;
  });
});

describe('too many event streams', () => {
  it('are refused by address, with a code', async (t) => {
    const app = await startProbedApp({ server: { perAddressMax: 2 } });
    t.after(() => app.close());
    const { token } = await registerUser(app);
    const open = [0, 1].map(() => openSse(app.url, { query: 'subscription { probeSilence }', token }));
    for (const results of open) await results.next();
    const [refused] = await ask('sse', app.url, { query: TICKS, token });
    assert.equal(refused?.errors?.[0]?.extensions?.code, 'RATE_LIMITED');
    for (const results of open) await results.return(undefined);
  });
});

/** As the metrics count them: there from the first event, gone when the server let go of them. */
async function openStreams(app: TestApp): Promise<number> {
  const text = await (await fetch(`${app.url}/metrics`)).text();
  return Number(/^panql_graphql_subscriptions_open (\d+)$/m.exec(text)?.[1]);
}
