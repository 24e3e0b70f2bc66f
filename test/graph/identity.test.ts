import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Account } from '../../src/storage/entities/account.ts';
import { Session, User } from '../../src/storage/entities/identity.ts';
import { LocalEntry } from '../../src/storage/entities/local-drive.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DATABASES, type TestStorage } from '../support/databases.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { identify, registerUser, whoIs } from '../support/people.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

for (const { dialect, skip, open } of DATABASES) {
  describe(`identity on ${dialect}`, { skip }, () => {
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

    const login = (username: string, password: string, address?: string, more: object = {}) =>
      identify(server, 'login', { username, password, ...more }, { address });
    const refresh = (refreshToken: string) => identify(server, 'refreshSession', { refreshToken });

    test('of users who register first at the same moment exactly one is the administrator', async () => {
      const names = Array.from({ length: 12 }, (_, index) => `first-${index}`);
      const answers = await Promise.all(
        names.map((username) => identify(server, 'register', { username, password: 'a fine password' })),
      );
      assert.deepEqual(answers.map(({ user }) => user.role).sort(), ['ADMIN', ...names.slice(1).map(() => 'USER')]);
    });

    test('a registered user has one built-in drive, with a root, and is signed in', async () => {
      const ada = await registerUser(server, 'Ada.Lovelace', { email: 'ada@example.org' });
      const { data } = await server.graphql('{ viewer { username displayName email role disabledAt } }', {}, ada.token);
      assert.deepEqual(data?.viewer, {
        username: 'Ada.Lovelace',
        displayName: 'Ada.Lovelace',
        email: 'ada@example.org',
        role: 'USER',
        disabledAt: null,
      });
      const em = server.app.storage.fork();
      const accounts = await em.find(Account, { ownerId: ada.userId });
      assert.deepEqual(
        accounts.map(({ provider, label, status, shared }) => ({ provider, label, status, shared })),
        [{ provider: 'LOCAL', label: 'Built-in drive', status: 'ACTIVE', shared: false }],
      );
      const entries = await em.find(LocalEntry, { accountId: ada.accountRowId });
      assert.deepEqual(
        entries.map(({ parentId, kind }) => ({ parentId, kind })),
        [{ parentId: null, kind: 'FOLDER' }],
      );
    });

    test('one operation can register and look at what is the new user’s', async () => {
      const { data, errors } = await server.graphql(
        `mutation { register(input: { username: "at-once", password: "a fine password" }) {
          ... on RegisterPayload { user { email accounts { nodes { label } } sessions { nodes { current } } } }
        } }`,
      );
      assert.deepEqual(errors, undefined);
      assert.deepEqual(data.register.user, {
        email: null,
        accounts: { nodes: [{ label: 'Built-in drive' }] },
        sessions: { nodes: [{ current: true }] },
      });
    });

    test('of 20 who register one name at the same moment one gets it, and nothing is left of the others', async () => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          identify(server, 'register', {
            username: index % 2 ? 'WANTED' : 'wanted',
            password: `password no. ${index}`,
          }),
        ),
      );
      const made = answers.filter(({ __typename }) => __typename === 'RegisterPayload');
      const refused = answers.filter(({ __typename }) => __typename === 'AlreadyExistsError');
      assert.deepEqual([made.length, refused.length], [1, 19]);
      const em = server.app.storage.fork();
      const users = await em.find(User, { usernameKey: 'wanted' });
      assert.equal(users.length, 1);
      const owners = new Set((await em.find(User, {})).map(({ id }) => id));
      for (const { ownerId } of await em.find(Account, {})) assert.ok(owners.has(ownerId), 'a drive without a user');
      assert.equal(await em.count(Session, { userId: users[0]?.id ?? '' }), 1);
    });

    test('a name or address that looks like one that is taken is taken', async () => {
      await registerUser(server, 'paypal', { email: 'pay@example.org' });
      for (const username of ['PayPal', 'ｐａｙｐａｌ', 'раураӏ']) {
        const answer = await identify(server, 'register', { username, password: 'a fine password' });
        assert.equal(answer.__typename, 'AlreadyExistsError', username);
        assert.match(answer.message ?? '', /username/);
      }
      for (const email of ['PAY@EXAMPLE.ORG', ' pay@example.org ', 'рау@example.org']) {
        const answer = await identify(server, 'register', { username: 'somebody', password: 'a fine password', email });
        assert.equal(answer.__typename, 'AlreadyExistsError', email);
        assert.match(answer.message ?? '', /mail/);
      }
    });

    test('every fault of a registration is named at once, and nobody is made', async () => {
      const input = { username: 'a b', password: 'short', displayName: 'x\ny', email: 'nowhere' };
      const answer = await identify(server, 'register', input);
      assert.equal(answer.__typename, 'InvalidInputError');
      assert.deepEqual(
        answer.issues.map(({ path }: { path: string[] }) => path.join('.')),
        ['input.username', 'input.password', 'input.displayName', 'input.email'],
      );
      assert.equal(await server.app.storage.fork().count(User, { displayName: 'x\ny' }), 0);
    });

    test('a name that nobody gave has no fault', async () => {
      const { issues } = await identify(server, 'register', { username: '', password: 'a fine password' });
      assert.deepEqual(
        issues.map(({ path }: { path: string[] }) => path.join('.')),
        ['input.username'],
      );
    });

    test('one signs in by username or mail address, in any case', async () => {
      await registerUser(server, 'Grace', { email: 'grace@example.org', password: 'a fine password' });
      for (const name of ['Grace', 'gRACE', ' grace ', 'grace@example.org', 'GRACE@Example.Org']) {
        const answer = await login(name, 'a fine password');
        assert.equal(answer.user?.username, 'Grace', name);
        assert.equal(await whoIs(server, answer.session.accessToken), 'Grace');
      }
    });

    test('an unknown user and a wrong password get the same answer', async () => {
      await registerUser(server, 'known', { email: 'known@example.org' });
      const strip = ({ message, code, __typename, ...rest }: Awaited<ReturnType<typeof login>>) => ({
        ...{ message, code, __typename },
        rest: Object.keys(rest),
      });
      const wrong = strip(await login('known', 'a wrong password'));
      assert.deepEqual(
        [wrong.__typename, wrong.code, wrong.message],
        ['PermissionDeniedError', 'PERMISSION_DENIED', 'Wrong username or password.'],
      );
      for (const name of [
        'unknown',
        'unknown@example.org',
        'known@example.org',
        '',
        '\0',
        '\ud800',
        'x'.repeat(100_000),
        "' or 1=1",
      ]) {
        assert.deepEqual(strip(await login(name, 'a wrong password')), wrong, name.slice(0, 20));
      }
      for (const password of ['', '\0', 'x'.repeat(200_000)])
        assert.deepEqual(strip(await login('known', password)), wrong);
    });

    test('a session ends a day after its last use, or 90 days with remember', async () => {
      const eve = await registerUser(server, 'eve');
      const short = (await login('eve', eve.password)).session;
      const long = (await login('eve', eve.password, undefined, { remember: true })).session;
      const now = clock.now().getTime();
      assert.equal(Date.parse(short.accessTokenExpiresAt) - now, 15 * MINUTE);
      assert.equal(Date.parse(short.refreshTokenExpiresAt) - now, DAY);
      assert.equal(Date.parse(long.refreshTokenExpiresAt) - now, 90 * DAY);

      clock.advance(DAY - 1000);
      const used = await refresh(short.refreshToken);
      assert.equal(Date.parse(used.session.refreshTokenExpiresAt) - clock.now().getTime(), DAY, 'use begins it anew');
      assert.equal((await refresh(eve.refreshToken)).__typename, 'RefreshSessionPayload');
      clock.advance(DAY);
      assert.equal((await refresh(used.session.refreshToken)).code, 'PERMISSION_DENIED');
      clock.advance(87 * DAY);
      const late = await refresh(long.refreshToken);
      assert.equal(Date.parse(late.session.refreshTokenExpiresAt) - clock.now().getTime(), 90 * DAY);
    });

    test('an access token counts for 15 minutes, and a minute more for clocks that differ', async () => {
      const ivy = await registerUser(server, 'ivy');
      clock.advance(15 * MINUTE + 59_000);
      assert.equal(await whoIs(server, ivy.token), 'ivy');
      clock.advance(2_000);
      const { data, errors } = await server.graphql('{ viewer { username } }', {}, ivy.token);
      assert.equal(data?.viewer, null);
      assert.equal(errors?.[0]?.extensions?.code, 'UNAUTHENTICATED', 'the client is told to refresh');
      const renewed = await refresh(ivy.refreshToken);
      assert.equal(await whoIs(server, renewed.session.accessToken), 'ivy');
    });

    test('a stale token in the header does not keep anybody from signing in or refreshing', async () => {
      const zoe = await registerUser(server, 'zoe');
      const stale = { token: 'panql_stale' };
      const again = await identify(server, 'login', { username: 'zoe', password: zoe.password }, stale);
      assert.equal(again.__typename, 'LoginPayload');
      const next = await identify(server, 'refreshSession', { refreshToken: zoe.refreshToken }, stale);
      assert.equal(next.__typename, 'RefreshSessionPayload');
    });

    describe('a refresh token', () => {
      test('works once; the next one goes on', async () => {
        const user = await registerUser(server);
        let token = user.refreshToken;
        for (let round = 0; round < 3; round += 1) {
          clock.advance(10 * MINUTE);
          const { session } = await refresh(token);
          assert.notEqual(session.refreshToken, token);
          assert.equal(await whoIs(server, session.accessToken), user.username);
          token = session.refreshToken;
        }
      });

      test('that was used before ends the session, for the thief and the owner', async () => {
        const user = await registerUser(server);
        const { session } = await refresh(user.refreshToken);
        const other = (await login(user.username, user.password)).session;
        const revoked = server.app.events.subscribe('grant.revoked', {
          filter: ({ userId }) => userId === user.userId,
        });
        clock.advance(MINUTE);

        const replay = await refresh(user.refreshToken);
        assert.equal(replay.code, 'PERMISSION_DENIED');
        assert.match(replay.message ?? '', /used before/);
        assert.equal((await revoked.next()).value.grantIds.length, 1);
        await revoked.return?.();

        assert.equal((await refresh(session.refreshToken)).code, 'PERMISSION_DENIED', 'the newest token is dead');
        assert.equal(await whoIs(server, session.accessToken), null, 'so is the access token');
        assert.equal(await whoIs(server, other.accessToken), user.username, 'other sessions go on');
      });

      test('from long ago ends the session as well', async () => {
        const user = await registerUser(server);
        let newest = user.refreshToken;
        for (let round = 0; round < 4; round += 1) newest = (await refresh(newest)).session.refreshToken;
        assert.match((await refresh(user.refreshToken)).message ?? '', /used before/);
        assert.equal((await refresh(newest)).code, 'PERMISSION_DENIED');
      });

      test('gives the same successor again for 30 seconds, to a client that lost the answer or has two tabs', async () => {
        const user = await registerUser(server);
        const answers = await Promise.all([1, 2, 3, 4].map(() => refresh(user.refreshToken)));
        const tokens = new Set(answers.map(({ session }) => session.refreshToken));
        assert.equal(tokens.size, 1);
        clock.advance(30_000);
        const again = await refresh(user.refreshToken);
        assert.deepEqual(again.session.refreshToken, [...tokens][0]);
        assert.equal(await whoIs(server, again.session.accessToken), user.username);
      });

      test('has no second chance once its successor was used', async () => {
        const user = await registerUser(server);
        const { session } = await refresh(user.refreshToken);
        const next = await refresh(session.refreshToken);
        assert.equal(next.__typename, 'RefreshSessionPayload');
        assert.match((await refresh(user.refreshToken)).message ?? '', /used before/);
        assert.equal((await refresh(next.session.refreshToken)).code, 'PERMISSION_DENIED');
      });

      test('has no second chance after 30 seconds', async () => {
        const user = await registerUser(server);
        await refresh(user.refreshToken);
        clock.advance(31_000);
        assert.match((await refresh(user.refreshToken)).message ?? '', /used before/);
      });

      test('that is malformed, foreign or of an ended session is refused, and ends nothing', async () => {
        const [one, two] = [await registerUser(server), await registerUser(server)];
        const [family = ''] = one.refreshToken.split('.');
        const wrong = [
          '',
          '.',
          family,
          `${family}.`,
          `.${family}`,
          one.token,
          'x'.repeat(100_000),
          `\0${one.refreshToken}`,
        ];
        for (const token of wrong) assert.equal((await refresh(token)).code, 'PERMISSION_DENIED', token.slice(0, 50));
        assert.equal((await refresh(one.refreshToken)).__typename, 'RefreshSessionPayload');
        await identify(server, 'logout', {}, { token: two.token });
        assert.equal((await refresh(two.refreshToken)).message, 'This session has ended. Sign in again.');
      });

      test('is nowhere in the database', async () => {
        const user = await registerUser(server);
        const { session } = await refresh(user.refreshToken);
        const rows = JSON.stringify(
          await server.app.storage
            .fork()
            .getKysely<{ sessions: object }>()
            .selectFrom('sessions')
            .selectAll()
            .execute(),
        );
        for (const part of [...user.refreshToken.split('.'), ...session.refreshToken.split('.')]) {
          assert.ok(!rows.includes(part));
        }
      });
    });

    describe('signing out', () => {
      test('here ends this session alone, at once', async () => {
        const user = await registerUser(server);
        const other = (await login(user.username, user.password)).session;
        const answer = await identify(server, 'logout', {}, { token: user.token });
        assert.deepEqual(answer, { __typename: 'LogoutPayload', ok: true });
        assert.equal(await whoIs(server, user.token), null);
        assert.equal((await refresh(user.refreshToken)).code, 'PERMISSION_DENIED');
        assert.equal(await whoIs(server, other.accessToken), user.username);
        assert.equal((await identify(server, 'logout', {}, { token: user.token })).code, 'UNAUTHENTICATED');
      });

      test('everywhere ends all of them, and nobody else’s', async () => {
        const [user, stranger] = [await registerUser(server), await registerUser(server)];
        const other = (await login(user.username, user.password)).session;
        const revoked = server.app.events.subscribe('grant.revoked', {
          filter: ({ userId }) => userId === user.userId,
        });
        await identify(server, 'logout', { everywhere: true }, { token: user.token });
        assert.equal((await revoked.next()).value.grantIds.length, 2);
        await revoked.return?.();
        for (const token of [user.token, other.accessToken]) assert.equal(await whoIs(server, token), null);
        for (const token of [user.refreshToken, other.refreshToken]) {
          assert.equal((await refresh(token)).code, 'PERMISSION_DENIED');
        }
        assert.equal(await whoIs(server, stranger.token), stranger.username);
      });
    });

    describe('the list of sessions', () => {
      const LIST = `query ($first: Int, $after: String) { viewer { sessions(first: $first, after: $after) {
        nodes { id current remember userAgent address createdAt lastUsedAt expiresAt } pageInfo { hasNextPage endCursor }
      } } }`;

      test('shows those that go on, newest first, by pages, and which one asks', async () => {
        const user = await registerUser(server);
        const phone = (await login(user.username, user.password, '203.0.113.9', { remember: true })).session;
        await identify(
          server,
          'logout',
          {},
          { token: (await login(user.username, user.password)).session.accessToken },
        );
        const page = (await server.graphql(LIST, { first: 1 }, user.token)).data.viewer.sessions;
        assert.deepEqual(
          page.nodes.map(({ current, remember, address }: Record<string, unknown>) => ({ current, remember, address })),
          [{ current: false, remember: true, address: '203.0.113.9' }],
        );
        assert.equal(page.pageInfo.hasNextPage, true);
        const rest = (await server.graphql(LIST, { after: page.pageInfo.endCursor }, user.token)).data.viewer.sessions;
        assert.deepEqual(
          rest.nodes.map(({ current }: { current: boolean }) => current),
          [true],
        );
        assert.equal(rest.pageInfo.hasNextPage, false);

        const revoked = await identify(server, 'revokeSession', { id: page.nodes[0].id }, { token: user.token });
        assert.deepEqual(revoked, { __typename: 'RevokeSessionPayload', id: page.nodes[0].id });
        assert.equal(await whoIs(server, phone.accessToken), null);
        const again = await identify(server, 'revokeSession', { id: page.nodes[0].id }, { token: user.token });
        assert.equal(again.code, 'NOT_FOUND');
      });

      test('refuses a cursor that it did not give', async () => {
        const user = await registerUser(server);
        const { errors } = await server.graphql(LIST, { after: 'nonsense' }, user.token);
        assert.equal(errors?.[0]?.extensions?.code, 'INVALID_INPUT');
      });

      test('of somebody else can be neither read nor ended', async () => {
        const [user, stranger] = [await registerUser(server), await registerUser(server)];
        const { data } = await server.graphql(LIST, {}, user.token);
        const [{ id }] = data.viewer.sessions.nodes;
        for (const foreign of [id, 'nonsense', '', 'VXNlclNlc3Npb246AA']) {
          const answer = await identify(server, 'revokeSession', { id: foreign }, { token: stranger.token });
          assert.equal(answer.code, 'NOT_FOUND', foreign);
        }
        assert.equal(await whoIs(server, user.token), user.username);
      });
    });
  });
}
