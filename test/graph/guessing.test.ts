import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findDomainError, RateLimitedError, UnavailableError } from '../../src/lib/errors.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { identify, type Person, registerUser, whoIs } from '../support/people.ts';

describe('guessing passwords', () => {
  let server: TestApp;
  before(async () => {
    server = await startTestApp({ settings: { TRUST_PROXY: 'true' } });
    await registerUser(server);
  });
  after(() => server.close());

  let addresses = 0;
  const newAddress = (): string => {
    addresses += 1;
    return `198.51.${Math.floor(addresses / 250)}.${(addresses % 250) + 1}`;
  };
  const guess = (username: string, address: string, password = 'a wrong password') =>
    identify(server, 'login', { username, password }, { address });
  const right = (person: Person, address: string) => guess(person.username, address, person.password);

  test('at one address is stopped, with the time to come back; the owner elsewhere gets in', async () => {
    const victim = await registerUser(server);
    const address = newAddress();
    for (let count = 0; count < 10; count += 1)
      assert.equal((await guess(victim.username, address)).code, 'PERMISSION_DENIED');
    const stopped = await guess(victim.username, address);
    assert.deepEqual([stopped.__typename, stopped.code, stopped.retryable], ['RateLimitedError', 'RATE_LIMITED', true]);
    assert.ok(Date.parse(stopped.retryAt) > Date.now());
    assert.equal((await right(victim, address)).code, 'RATE_LIMITED', 'the right password does not help the guesser');
    assert.equal((await right(victim, newAddress())).__typename, 'LoginPayload');
    assert.equal(await whoIs(server, victim.token), victim.username, 'open sessions notice nothing');
  });

  test('in parallel counts each guess', async () => {
    const victim = await registerUser(server);
    const address = newAddress();
    const answers = await Promise.all(Array.from({ length: 40 }, () => guess(victim.username, address)));
    assert.equal(answers.filter(({ code }) => code === 'PERMISSION_DENIED').length, 10);
    assert.equal(answers.filter(({ code }) => code === 'RATE_LIMITED').length, 30);
  });

  test('by many fields of one document counts each field', async () => {
    const victim = await registerUser(server);
    const fields = Array.from(
      { length: 15 },
      (_, index) =>
        `a${index}: login(input: { username: "${victim.username}", password: "guess ${index}" }) { ... on UserError { code } }`,
    );
    const { data } = await server.graphql(`mutation { ${fields.join('\n')} }`, {}, null, {
      'x-forwarded-for': newAddress(),
    });
    const codes = Object.values(data ?? {}).map((answer) => (answer as { code: string }).code);
    assert.deepEqual(codes, [...Array(10).fill('PERMISSION_DENIED'), ...Array(5).fill('RATE_LIMITED')]);
  });

  test('by other spellings of one name is guessing at that name', async () => {
    const victim = await registerUser(server, 'spelled');
    const address = newAddress();
    const spellings = ['spelled', 'SPELLED', 'ｓpelled', ' spelled ', 'Spelled'];
    for (let count = 0; count < 10; count += 1) await guess(spellings[count % spellings.length] ?? '', address);
    assert.equal((await guess(victim.username, address)).code, 'RATE_LIMITED');
  });

  test('at many names from one address is stopped as well', async () => {
    const address = newAddress();
    const codes = new Map<string | undefined, number>();
    for (let count = 0; count < 110; count += 1) {
      const { code } = await guess(`nobody-${count}`, address);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    assert.deepEqual(Object.fromEntries(codes), { PERMISSION_DENIED: 100, RATE_LIMITED: 10 });
  });

  test('within one IPv6 network is guessing from one address', async () => {
    const victim = await registerUser(server);
    for (let count = 1; count <= 10; count += 1) await guess(victim.username, `2001:db8:1:2::${count.toString(16)}`);
    assert.equal((await guess(victim.username, '2001:db8:1:2:ffff::1')).code, 'RATE_LIMITED');
    assert.equal((await guess(victim.username, '2001:db8:1:3::1')).code, 'PERMISSION_DENIED');
  });

  test('from many addresses slows strangers down, but locks nobody out', async () => {
    const victim = await registerUser(server);
    const home = newAddress();
    assert.equal((await right(victim, home)).__typename, 'LoginPayload');
    for (let count = 0; count < 60; count += 1) await guess(victim.username, newAddress());

    const stranger = newAddress();
    const codes = [];
    for (let count = 0; count < 3; count += 1) codes.push((await guess(victim.username, stranger)).code);
    assert.deepEqual(codes, ['PERMISSION_DENIED', 'PERMISSION_DENIED', 'RATE_LIMITED']);
    assert.equal((await right(victim, newAddress())).__typename, 'LoginPayload', 'a new device of the owner');
    for (let count = 0; count < 5; count += 1)
      assert.equal((await guess(victim.username, home)).code, 'PERMISSION_DENIED');
    assert.equal((await right(victim, home)).__typename, 'LoginPayload', 'a known address has its full budget');
  });

  test('signing in again and again with the right password uses nothing up', async () => {
    const person = await registerUser(server);
    const address = newAddress();
    for (let count = 0; count < 25; count += 1) assert.equal((await right(person, address)).__typename, 'LoginPayload');
  });

  test('an address that the client writes itself buys no budget without a trusted proxy', async (t) => {
    const direct = await startTestApp();
    t.after(() => direct.close());
    const victim = await registerUser(direct);
    const codes = [];
    for (let count = 0; count < 11; count += 1) {
      const input = { username: victim.username, password: 'a wrong password' };
      codes.push((await identify(direct, 'login', input, { address: newAddress() })).code);
    }
    assert.equal(codes.at(-1), 'RATE_LIMITED');
  });
});

test('500 who sign in at the same moment are served or refused soon, and others are answered meanwhile', async (t) => {
  const passwordCost = { memoryCost: 8 * 1024, timeCost: 2, parallelism: 1 };
  const server = await startTestApp({ passwordCost });
  t.after(() => server.close());
  const person = await registerUser(server);
  const { signIn } = server.app.services.identity;
  const logins = Array.from({ length: 500 }, async (_, index) => {
    const client = { address: `10.0.${Math.floor(index / 250)}.${(index % 250) + 1}`, userAgent: null };
    const username = index % 2 ? `nobody-${index}` : person.username;
    return signIn.login({ username, password: person.password }, client);
  });
  const [outcomes, ...others] = await Promise.all([
    Promise.allSettled(logins),
    ...Array.from({ length: 20 }, () => whoIs(server, person.token)),
  ]);
  assert.deepEqual(new Set(others), new Set([person.username]));
  const refusals = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  const unavailable = refusals.filter((error) => error instanceof UnavailableError);
  assert.ok(unavailable.length > 0, 'the queue has an end');
  for (const error of unavailable) assert.ok(error.retryable && error.retryAt);
  for (const error of refusals) assert.ok(findDomainError(error), String(error));
  // Whether they were who they said: which of them come first is chance.
  const answered = outcomes.length - refusals.filter(isTurnedAway).length;
  assert.ok(answered > 0, 'those who stood in it were served');
});

const isTurnedAway = (error: unknown): boolean =>
  error instanceof UnavailableError || error instanceof RateLimitedError;
