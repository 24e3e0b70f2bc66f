import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ConfigError } from '../../src/lib/errors.ts';
import { PasswordReset, User } from '../../src/storage/entities/identity.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DATABASES, type TestStorage } from '../support/databases.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { createApiKey, identify, type Person, registerUser, whoIs } from '../support/people.ts';

const MINUTE = 60_000;

for (const { dialect, skip, open } of DATABASES) {
  describe(`passwords on ${dialect}`, { skip }, () => {
    let database: TestStorage;
    let server: TestApp;
    const clock = new ManualClock();
    before(async () => {
      database = await open();
      server = await startTestApp({ clock, settings: { DATABASE_URL: database.url, TRUST_PROXY: 'true' } });
    });
    after(async () => {
      await server.close();
      await database.close();
    });

    let addresses = 0;
    /** An address that has not asked for anything yet. */
    const newAddress = (): string => {
      addresses += 1;
      return `198.51.100.${addresses}`;
    };
    const login = (username: string, password: string, address = newAddress()) =>
      identify(server, 'login', { username, password }, { address });
    const change = (person: Pick<Person, 'token'>, currentPassword: string, newPassword: string) =>
      identify(server, 'changePassword', { currentPassword, newPassword }, { token: person.token });
    const reset = (token: string, newPassword: string) =>
      identify(server, 'resetPassword', { token, newPassword }, { address: newAddress() });

    const askForReset = async (email: string, address = newAddress()) => {
      const answer = await identify(server, 'requestPasswordReset', { email }, { address });
      await server.app.services.identity.settled();
      return answer;
    };
    const mails = async (): Promise<string[]> => {
      const folder = join(server.dataDir, 'outbox');
      const names = await readdir(folder).catch((): string[] => []);
      return Promise.all(names.sort().map((name) => readFile(join(folder, name), 'utf8')));
    };
    /** The code of the newest mail to the address. */
    const codeFor = async (email: string): Promise<string> => {
      const mail = (await mails()).findLast((text) => text.includes(`To: ${email}`)) ?? '';
      return /^[\w-]{43}$/m.exec(mail)?.[0] ?? assert.fail(`no code in: ${mail}`);
    };

    describe('changing the password', () => {
      test('ends all sessions and keys, gives a new session, and the old password is worth nothing', async () => {
        const user = await registerUser(server);
        const other = (await login(user.username, user.password)).session;
        const key = await createApiKey(server, user.token, ['READ']);
        const revoked = server.app.events.subscribe('grant.revoked', {
          filter: ({ userId }) => userId === user.userId,
        });

        const answer = await change(user, user.password, 'a better password');
        assert.equal(answer.__typename, 'ChangePasswordPayload');
        assert.equal((await revoked.next()).value.grantIds.length, 3);
        await revoked.return?.();
        for (const token of [user.token, other.accessToken, key.secret]) assert.equal(await whoIs(server, token), null);
        for (const refreshToken of [user.refreshToken, other.refreshToken]) {
          assert.equal((await identify(server, 'refreshSession', { refreshToken })).code, 'PERMISSION_DENIED');
        }
        assert.equal(await whoIs(server, answer.session.accessToken), user.username);
        assert.equal((await login(user.username, user.password)).code, 'PERMISSION_DENIED');
        assert.equal((await login(user.username, 'a better password')).__typename, 'LoginPayload');
      });

      test('keeps what remember asked for', async () => {
        const user = await registerUser(server);
        const input = { username: user.username, password: user.password, remember: true };
        const { session } = await identify(server, 'login', input);
        const answer = await change({ token: session.accessToken }, user.password, 'a better password');
        const days = (Date.parse(answer.session.refreshTokenExpiresAt) - clock.now().getTime()) / (24 * 60 * MINUTE);
        assert.equal(days, 90);
      });

      test('needs the current one, and a fair new one', async () => {
        const user = await registerUser(server);
        const wrong = await change(user, 'a wrong password', 'a better password');
        assert.deepEqual([wrong.code, wrong.message], ['PERMISSION_DENIED', 'The current password is wrong.']);
        for (const bad of ['short', 'password', user.username, 'x'.repeat(129)]) {
          const answer = await change(user, user.password, bad);
          assert.deepEqual([answer.code, answer.issues?.[0].path], ['INVALID_INPUT', ['input', 'newPassword']], bad);
        }
        assert.equal(await whoIs(server, user.token), user.username);
      });

      test('cannot be used to guess in a stolen session', async () => {
        const user = await registerUser(server);
        const codes = [];
        for (let guess = 0; guess < 12; guess += 1) {
          codes.push((await change(user, `guess number ${guess}`, 'a better password')).code);
        }
        assert.deepEqual(codes, [...Array(10).fill('PERMISSION_DENIED'), 'RATE_LIMITED', 'RATE_LIMITED']);
        const other = (await login(user.username, user.password)).session;
        const answer = await change({ token: other.accessToken }, user.password, 'a better password');
        assert.equal(answer.__typename, 'ChangePasswordPayload', 'the owner’s session has a budget of its own');
      });

      test('twice at the same moment happens once, and leaves one session', async () => {
        const user = await registerUser(server);
        const answers = await Promise.all([1, 2, 3].map((n) => change(user, user.password, `better password ${n}`)));
        const done = answers.filter(({ __typename }) => __typename === 'ChangePasswordPayload');
        assert.equal(done.length, 1, JSON.stringify(answers));
        assert.equal(await whoIs(server, done[0]?.session.accessToken), user.username);
      });

      test('and signing in with the old one at the same moment never leaves a session of the old one', async () => {
        for (let round = 0; round < 5; round += 1) {
          const user = await registerUser(server);
          const [changed, ...logins] = await Promise.all([
            change(user, user.password, 'a better password'),
            ...[1, 2, 3, 4].map(() => login(user.username, user.password)),
          ]);
          assert.equal(changed.__typename, 'ChangePasswordPayload');
          for (const { session } of logins) if (session) assert.equal(await whoIs(server, session.accessToken), null);
        }
      });
    });

    describe('resetting a forgotten password', () => {
      test('takes a code from a mail, ends all sessions and keys, and works once', async () => {
        const user = await registerUser(server, undefined, { email: 'forgetful@example.org' });
        const key = await createApiKey(server, user.token, ['READ']);
        assert.deepEqual(await askForReset('Forgetful@Example.org'), {
          __typename: 'RequestPasswordResetPayload',
          ok: true,
        });
        const code = await codeFor('forgetful@example.org');
        const kept = await server.app.storage.fork().findOneOrFail(PasswordReset, { userId: user.userId });
        assert.ok(!JSON.stringify({ ...kept }).includes(code), 'only a hash is kept');

        assert.equal((await reset(code, 'password')).code, 'INVALID_INPUT');
        assert.deepEqual(await reset(code, 'a better password'), { __typename: 'ResetPasswordPayload', ok: true });
        for (const token of [user.token, key.secret]) assert.equal(await whoIs(server, token), null);
        assert.equal((await login(user.username, 'a better password')).__typename, 'LoginPayload');
        assert.equal((await login(user.username, user.password)).code, 'PERMISSION_DENIED');
        assert.equal((await reset(code, 'another password')).code, 'PERMISSION_DENIED');
      });

      test('twice with one code at the same moment happens once', async () => {
        await registerUser(server, undefined, { email: 'racer@example.org' });
        await askForReset('racer@example.org');
        const code = await codeFor('racer@example.org');
        const answers = await Promise.all([1, 2, 3, 4].map((n) => reset(code, `better password ${n}`)));
        const names = answers.map(({ __typename }) => __typename).sort();
        assert.deepEqual(names, [...Array(3).fill('PermissionDeniedError'), 'ResetPasswordPayload']);
      });

      test('with one code makes the other codes worthless', async () => {
        await registerUser(server, undefined, { email: 'several@example.org' });
        await askForReset('several@example.org');
        const first = await codeFor('several@example.org');
        clock.advance(1000);
        await askForReset('several@example.org');
        const second = await codeFor('several@example.org');
        assert.notEqual(first, second);
        assert.equal(
          (await reset(first, 'a better password')).__typename,
          'ResetPasswordPayload',
          'the first is still good',
        );
        assert.equal((await reset(second, 'a worse password')).code, 'PERMISSION_DENIED');
      });

      test('must happen within 30 minutes', async () => {
        await registerUser(server, undefined, { email: 'slow@example.org' });
        await askForReset('slow@example.org');
        const code = await codeFor('slow@example.org');
        clock.advance(30 * MINUTE);
        assert.equal((await reset(code, 'a better password')).code, 'PERMISSION_DENIED');
      });

      test('answers unknown, used and malformed codes alike', async () => {
        const messages = new Set<string | undefined>();
        for (const code of ['', 'nonsense', '\0', 'x'.repeat(100_000)])
          messages.add((await reset(code, 'a better password')).message);
        assert.deepEqual([...messages], ['This reset code is wrong, was used, or has expired. Ask for a new one.']);
      });

      test('does not tell whether anybody has the address, and mails nobody who has not', async () => {
        await registerUser(server, undefined, { email: 'real@example.org' });
        const before = (await mails()).length;
        const known = await askForReset('real@example.org');
        assert.deepEqual(await askForReset('unreal@example.org'), known);
        assert.equal((await mails()).length, before + 1);
      });

      test('answers before it looks for the user', async () => {
        const { promise, resolve: release } = Promise.withResolvers<void>();
        const held = server.app.storage.transaction(() => promise);
        const answer = await identify(
          server,
          'requestPasswordReset',
          { email: 'real@example.org' },
          { address: newAddress() },
        );
        assert.equal(answer.ok, true);
        release();
        await held;
        await server.app.services.identity.settled();
      });

      test('is limited for who asks, not for the one it is asked for', async () => {
        await registerUser(server, undefined, { email: 'victim@example.org' });
        const guesser = newAddress();
        const codes = [];
        for (let ask = 0; ask < 7; ask += 1) codes.push((await askForReset('victim@example.org', guesser)).code);
        assert.deepEqual(codes, [...Array(5).fill(undefined), 'RATE_LIMITED', 'RATE_LIMITED']);
        assert.equal((await askForReset('victim@example.org')).ok, true);
        assert.equal((await reset(await codeFor('victim@example.org'), 'a better password')).ok, true);
      });

      test('floods nobody’s mailbox, however many ask', async () => {
        await registerUser(server, undefined, { email: 'flooded@example.org' });
        for (let ask = 0; ask < 25; ask += 1) assert.equal((await askForReset('flooded@example.org')).ok, true);
        const arrived = (await mails()).filter((mail) => mail.includes('To: flooded@example.org'));
        assert.equal(arrived.length, 20);
      });

      test('refuses what is no mail address', async () => {
        const answer = await askForReset('nowhere');
        assert.deepEqual([answer.code, answer.issues[0].path], ['INVALID_INPUT', ['input', 'email']]);
      });

      test('is not for a disabled user', async () => {
        const user = await registerUser(server, undefined, { email: 'gone@example.org' });
        await askForReset('gone@example.org');
        const code = await codeFor('gone@example.org');
        await server.app.storage.fork().nativeUpdate(User, { id: user.userId }, { disabledAt: clock.now() });
        assert.equal((await reset(code, 'a better password')).code, 'PERMISSION_DENIED');
        const before = (await mails()).length;
        assert.equal((await askForReset('gone@example.org')).ok, true);
        assert.equal((await mails()).length, before);
      });
    });

    test('no password, code or token is in the log', async () => {
      const log = server.logLines.join('');
      for (const secret of ['a better password', 'a wrong password', await codeFor('real@example.org')]) {
        assert.ok(!log.includes(secret), secret);
      }
    });
  });
}

test('a password that was hashed at another cost is kept anew at the next sign-in', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'panql-test-'));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const before = await startTestApp({ dataDir });
  const user = await registerUser(before);
  await before.close();

  const dearer = await startTestApp({ dataDir, passwordCost: { memoryCost: 128, timeCost: 2, parallelism: 1 } });
  t.after(() => dearer.close());
  const hash = async () => (await dearer.app.storage.fork().findOneOrFail(User, user.userId)).passwordHash;
  const input = { username: user.username, password: user.password };
  assert.match(await hash(), /m=64,p=1,t=1/);
  assert.equal((await identify(dearer, 'login', { ...input, password: 'a wrong password' })).code, 'PERMISSION_DENIED');
  assert.match(await hash(), /m=64,p=1,t=1/);
  assert.equal((await identify(dearer, 'login', input)).__typename, 'LoginPayload');
  assert.match(await hash(), /m=128,p=1,t=2/);
  assert.equal((await identify(dearer, 'login', input)).__typename, 'LoginPayload');
  assert.equal(await whoIs(dearer, user.token), user.username, 'the development key was found again');
});

test('production does not start without keys', async () => {
  const start = startTestApp({ settings: { NODE_ENV: 'production' } });
  await assert.rejects(start, (error) => error instanceof ConfigError && /_KEYS is not set/.test(error.message));
});
