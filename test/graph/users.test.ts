import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { User } from '../../src/storage/entities/identity.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { DATABASES, type TestStorage } from '../support/databases.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { createApiKey, identify, type Person, registerUser, whoIs } from '../support/people.ts';

const DAY = 86_400_000;

for (const { dialect, skip, open } of DATABASES) {
  describe(`users on ${dialect}`, { skip }, () => {
    let database: TestStorage;
    let server: TestApp;
    let admin: Person;
    const clock = new ManualClock();
    before(async () => {
      database = await open();
      server = await startTestApp({ clock, settings: { DATABASE_URL: database.url } });
      admin = await registerUser(server, 'root-user');
    });
    after(async () => {
      await server.close();
      await database.close();
    });

    /** A fresh access token: the clock of these tests moves by days. */
    const tokenOf = async ({ username, password }: Person): Promise<string> => {
      const answer = await identify(server, 'login', { username, password });
      assert.equal(answer.__typename, 'LoginPayload', JSON.stringify(answer));
      return answer.session.accessToken;
    };
    const userId = ({ userId }: Person): string => encodeGlobalId('User', userId);

    test('another user is not there for a user, and is for an administrator', async () => {
      const [one, other] = [await registerUser(server), await registerUser(server)];
      const NODE = 'query ($id: ID!) { node(id: $id) { ... on User { username email } } }';
      const ask = async (token: string) => (await server.graphql(NODE, { id: userId(other) }, token)).data.node;
      assert.equal(await ask(one.token), null);
      assert.equal((await ask(other.token)).username, other.username);
      assert.equal((await ask(await tokenOf(admin))).username, other.username);
    });

    test('administrators list users by page and by the beginning of the name', async () => {
      for (const name of ['list-a', 'list-b', 'list-c', 'list_d']) await registerUser(server, name);
      const token = await tokenOf(admin);
      const LIST = `query ($search: String, $first: Int, $after: String) {
        users(search: $search, first: $first, after: $after) { nodes { username } pageInfo { hasNextPage endCursor } }
      }`;
      const names = (users: { nodes: { username: string }[] }) => users.nodes.map(({ username }) => username);
      const page = (await server.graphql(LIST, { search: 'LIST-', first: 2 }, token)).data.users;
      assert.deepEqual([names(page), page.pageInfo.hasNextPage], [['list-a', 'list-b'], true]);
      const rest = (await server.graphql(LIST, { search: 'list-', after: page.pageInfo.endCursor }, token)).data.users;
      assert.deepEqual([names(rest), rest.pageInfo.hasNextPage], [['list-c'], false]);
      assert.deepEqual(names((await server.graphql(LIST, { search: 'list_' }, token)).data.users), ['list_d']);
      for (const search of ['%', 'list\0-x', '\\']) {
        assert.deepEqual(names((await server.graphql(LIST, { search }, token)).data.users), [], search);
      }
      const { errors } = await server.graphql(LIST, { after: 'nonsense' }, token);
      assert.equal(errors?.[0]?.extensions?.code, 'INVALID_INPUT');
    });

    test('a role counts from the next request on', async () => {
      const user = await registerUser(server);
      const token = await tokenOf(admin);
      const LIST = '{ users(first: 1) { nodes { id } } }';
      assert.equal((await server.graphql(LIST, {}, user.token)).errors?.[0]?.extensions?.code, 'PERMISSION_DENIED');
      const raised = await identify(server, 'setUserRole', { userId: userId(user), role: 'ADMIN' }, { token });
      assert.equal(raised.user.role, 'ADMIN');
      assert.equal((await server.graphql(LIST, {}, user.token)).errors, undefined);
      const key = await createApiKey(server, user.token, ['READ', 'ADMIN']);
      assert.equal((await server.graphql(LIST, {}, key.secret)).errors, undefined);
      await identify(server, 'setUserRole', { userId: userId(user), role: 'USER' }, { token });
      for (const grant of [user.token, key.secret]) {
        const { errors } = await server.graphql(LIST, {}, grant);
        assert.equal(errors?.[0]?.extensions?.code, 'PERMISSION_DENIED');
      }
    });

    test('a disabled user is out at once, and back when enabled', async () => {
      const user = await registerUser(server);
      const key = await createApiKey(server, user.token, ['READ']);
      const token = await tokenOf(admin);
      const revoked = server.app.events.subscribe('grant.revoked', { filter: (event) => event.userId === user.userId });
      const answer = await identify(server, 'disableUser', { userId: userId(user) }, { token });
      assert.ok(answer.user.disabledAt);
      assert.equal((await revoked.next()).value.grantIds.length, 2);
      await revoked.return?.();
      for (const grant of [user.token, key.secret]) assert.equal(await whoIs(server, grant), null);
      const { refreshToken, username, password } = user;
      assert.equal((await identify(server, 'refreshSession', { refreshToken })).code, 'PERMISSION_DENIED');
      const refused = await identify(server, 'login', { username, password });
      assert.match(refused.message ?? '', /disabled/);
      const guess = await identify(server, 'login', { username, password: 'a wrong password' });
      assert.equal(guess.message, 'Wrong username or password.', 'only the owner learns of it');

      await identify(server, 'enableUser', { userId: userId(user) }, { token });
      assert.equal((await identify(server, 'login', { username, password })).__typename, 'LoginPayload');
      assert.equal(await whoIs(server, key.secret), null, 'what ended stays ended');
    });

    test('nobody disables themselves, and the last administrator stays one', async () => {
      const token = await tokenOf(admin);
      const self = { userId: userId(admin) };
      assert.equal((await identify(server, 'disableUser', self, { token })).code, 'CONFLICT');
      assert.equal((await identify(server, 'setUserRole', { ...self, role: 'USER' }, { token })).code, 'CONFLICT');
      for (const id of ['nonsense', encodeGlobalId('User', 'nonsense'), encodeGlobalId('CloudAccount', admin.userId)]) {
        assert.equal((await identify(server, 'disableUser', { userId: id }, { token })).code, 'NOT_FOUND', id);
      }
    });

    test('two administrators who act on each other at the same moment leave one', async () => {
      const other = await registerUser(server);
      for (const mutation of ['disableUser', 'setUserRole'] as const) {
        const token = await tokenOf(admin);
        await identify(server, 'enableUser', { userId: userId(other) }, { token });
        await identify(server, 'setUserRole', { userId: userId(other), role: 'ADMIN' }, { token });
        const otherToken = await tokenOf(other);
        const role = mutation === 'setUserRole' ? { role: 'USER' } : {};
        await Promise.all([
          identify(server, mutation, { userId: userId(other), ...role }, { token }),
          identify(server, mutation, { userId: userId(admin), ...role }, { token: otherToken }),
        ]);
        const em = server.app.storage.fork();
        assert.equal(await em.count(User, { role: 'ADMIN', disabledAt: null }), 1, mutation);
        await em.nativeUpdate(User, { id: admin.userId }, { role: 'ADMIN', disabledAt: null });
      }
    });

    describe('an API key', () => {
      test('is shown once, kept as a hash, and does what its scopes allow', async () => {
        const user = await registerUser(server);
        const input = { name: ' my script ', scopes: ['READ', 'READ', 'WRITE'] };
        const made = await identify(server, 'createApiKey', input, { token: user.token });
        assert.match(made.secret, /^panql_[\w-]{43}$/);
        assert.deepEqual([made.apiKey.name, made.apiKey.scopes], ['my script', ['READ', 'WRITE']]);
        assert.equal(made.apiKey.prefix, made.secret.slice(0, 12));
        assert.equal(await whoIs(server, made.secret), user.username);
        const kysely = server.app.storage.fork().getKysely<{ api_keys: object }>();
        const rows = JSON.stringify(await kysely.selectFrom('api_keys').selectAll().execute());
        assert.ok(!rows.includes(made.secret.slice(12)));
        assert.ok(!server.logLines.join('').includes(made.secret));
      });

      test('tells when it was last used, to the minute', async () => {
        const user = await registerUser(server);
        const { secret } = await createApiKey(server, user.token, ['READ']);
        const LIST = '{ viewer { apiKeys { nodes { lastUsedAt } } } }';
        const lastUsed = async () =>
          (await server.graphql(LIST, {}, user.token)).data.viewer.apiKeys.nodes[0].lastUsedAt;
        assert.equal(await lastUsed(), null);
        await whoIs(server, secret);
        const first = clock.now().toISOString();
        assert.equal(await lastUsed(), first);
        clock.advance(30_000);
        await whoIs(server, secret);
        assert.equal(await lastUsed(), first);
        clock.advance(30_000);
        await whoIs(server, secret);
        assert.equal(await lastUsed(), clock.now().toISOString());
      });

      test('ends at its time, or when it is revoked', async () => {
        const user = await registerUser(server);
        const short = await createApiKey(server, user.token, ['READ'], {
          expiresAt: new Date(clock.now().getTime() + 60_000),
        });
        const long = await createApiKey(server, user.token, ['READ']);
        clock.advance(60_000);
        assert.equal(await whoIs(server, short.secret), null);
        assert.equal(await whoIs(server, long.secret), user.username);
        const answer = await identify(server, 'revokeApiKey', { id: long.id }, { token: user.token });
        assert.ok(answer.apiKey.revokedAt);
        assert.equal(await whoIs(server, long.secret), null);
        const again = await identify(server, 'revokeApiKey', { id: long.id }, { token: user.token });
        assert.equal(again.code, 'NOT_FOUND');
      });

      test('outlives signing out everywhere', async () => {
        const user = await registerUser(server);
        const { secret } = await createApiKey(server, user.token, ['READ']);
        await identify(server, 'logout', { everywhere: true }, { token: user.token });
        assert.equal(await whoIs(server, secret), user.username);
      });

      test('cannot see or make what signs its owner in', async () => {
        const user = await registerUser(server);
        const { secret } = await createApiKey(server, user.token, ['READ', 'WRITE', 'DOWNLOAD', 'SHARE', 'ACCOUNTS']);
        for (const field of ['sessions', 'apiKeys']) {
          const { errors } = await server.graphql(`{ viewer { ${field} { nodes { id } } } }`, {}, secret);
          assert.equal(errors?.[0]?.extensions?.code, 'PERMISSION_DENIED', field);
        }
        const made = await identify(server, 'createApiKey', { name: 'x', scopes: ['READ'] }, { token: secret });
        assert.equal(made.code, 'PERMISSION_DENIED');
      });

      test('of somebody else can be neither read nor revoked', async () => {
        const [user, stranger] = [await registerUser(server), await registerUser(server)];
        const { id, secret } = await createApiKey(server, user.token, ['READ']);
        const answer = await identify(server, 'revokeApiKey', { id }, { token: stranger.token });
        assert.equal(answer.code, 'NOT_FOUND');
        assert.equal(await whoIs(server, secret), user.username);
      });

      test('needs a name, a scope and an end that is to come, and the role for ADMIN', async () => {
        const user = await registerUser(server);
        const input = { name: ' ', scopes: [], expiresAt: clock.now() };
        const faulty = await identify(server, 'createApiKey', input, { token: user.token });
        assert.deepEqual(
          faulty.issues.map(({ path }: { path: string[] }) => path.at(-1)),
          ['name', 'scopes', 'expiresAt'],
        );
        const bold = await identify(server, 'createApiKey', { name: 'x', scopes: ['ADMIN'] }, { token: user.token });
        assert.equal(bold.code, 'PERMISSION_DENIED');
      });

      test('made while the password changes does not survive it', async () => {
        for (let round = 0; round < 5; round += 1) {
          const user = await registerUser(server);
          const change = { currentPassword: user.password, newPassword: 'a better password' };
          const [made] = await Promise.all([
            identify(server, 'createApiKey', { name: 'x', scopes: ['READ'] }, { token: user.token }),
            identify(server, 'changePassword', change, { token: user.token }),
          ]);
          if (made.secret) assert.equal(await whoIs(server, made.secret), null);
        }
      });
    });

    test('the audit tells administrators what was done, newest first, and no secret', async () => {
      const user = await registerUser(server, 'watched');
      await identify(server, 'login', { username: 'watched', password: 'a wrong password' });
      const key = await createApiKey(server, user.token, ['READ']);
      await identify(server, 'logout', {}, { token: user.token });
      const AUDIT = `query ($userId: ID, $action: String, $first: Int, $after: String) {
        audit(userId: $userId, action: $action, first: $first, after: $after) {
          nodes { action userId detail at } pageInfo { hasNextPage endCursor }
        }
      }`;
      const token = await tokenOf(admin);
      const { audit } = (await server.graphql(AUDIT, { userId: userId(user) }, token)).data;
      const actions = audit.nodes.map(({ action }: { action: string }) => action);
      assert.deepEqual(actions, ['session.close', 'apiKey.create', 'session.refuse', 'user.register']);
      for (const secret of [user.password, 'a wrong password', key.secret, user.refreshToken]) {
        assert.ok(!JSON.stringify(audit).includes(secret));
      }
      const page = (await server.graphql(AUDIT, { userId: userId(user), first: 3 }, token)).data.audit;
      assert.equal(page.pageInfo.hasNextPage, true);
      const rest = { userId: userId(user), after: page.pageInfo.endCursor };
      assert.deepEqual((await server.graphql(AUDIT, rest, token)).data.audit.nodes.length, 1);
      const refusals = (await server.graphql(AUDIT, { action: 'session.refuse' }, token)).data.audit.nodes;
      assert.ok(refusals.every(({ action }: { action: string }) => action === 'session.refuse'));
      assert.deepEqual((await server.graphql(AUDIT, { userId: 'nonsense' }, token)).data.audit.nodes, []);
    });

    test('a sweep removes sessions that ended a month ago, and no others', async () => {
      const user = await registerUser(server);
      await identify(server, 'logout', {}, { token: user.token });
      const live = await identify(server, 'login', {
        username: user.username,
        password: user.password,
        remember: true,
      });
      clock.advance(31 * DAY);
      await server.app.services.identity.sweep();
      const gone = await identify(server, 'refreshSession', { refreshToken: user.refreshToken });
      assert.equal(gone.code, 'PERMISSION_DENIED');
      const goesOn = await identify(server, 'refreshSession', { refreshToken: live.session.refreshToken });
      assert.equal(goesOn.__typename, 'RefreshSessionPayload');
    });
  });

  describe(`registration modes on ${dialect}`, { skip }, () => {
    const input = (username: string, more: object = {}) => ({ username, password: 'a fine password', ...more });

    async function start(mode: string, clock = new ManualClock()) {
      const database = await open();
      const server = await startTestApp({ clock, settings: { DATABASE_URL: database.url, REGISTRATION: mode } });
      const close = async (): Promise<void> => {
        await server.close();
        await database.close();
      };
      return { server, close };
    }

    test('closed lets the first user in, alone, also when several come at once', async (t) => {
      const { server, close } = await start('closed');
      t.after(close);
      const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => identify(server, 'register', input(`user-${n}`))));
      const made = answers.filter(({ __typename }) => __typename === 'RegisterPayload');
      assert.deepEqual([made.length, made[0]?.user.role], [1, 'ADMIN']);
      assert.ok(answers.every((answer) => answer.user || answer.code === 'PERMISSION_DENIED'));
      const later = await identify(server, 'register', input('later'));
      assert.deepEqual([later.code, /closed/.test(later.message ?? '')], ['PERMISSION_DENIED', true]);
    });

    test('invite takes a code once, within its time, from an administrator', async (t) => {
      const clock = new ManualClock();
      const { server, close } = await start('invite', clock);
      t.after(close);
      const admin = await registerUser(server);
      const invite = (more: object = {}) => identify(server, 'createInvitation', more, { token: admin.token });
      for (const code of [undefined, '', 'nonsense', '\0']) {
        const answer = await identify(server, 'register', input('guest', { invitationCode: code }));
        assert.equal(answer.code, 'PERMISSION_DENIED', code);
      }

      const { invitationCode } = await invite();
      const answers = await Promise.all(
        [1, 2, 3, 4].map((n) => identify(server, 'register', input(`guest-${n}`, { invitationCode }))),
      );
      const made = answers.filter(({ __typename }) => __typename === 'RegisterPayload');
      assert.deepEqual([made.length, made[0]?.user.role], [1, 'USER']);

      const second = await invite();
      const taken = await identify(
        server,
        'register',
        input(admin.username, { invitationCode: second.invitationCode }),
      );
      assert.equal(taken.code, 'ALREADY_EXISTS');
      const again = await identify(server, 'register', input('guest-5', { invitationCode: second.invitationCode }));
      assert.equal(again.__typename, 'RegisterPayload', 'a code is not used up by a name that was taken');

      const short = await invite({ lifetimeSeconds: 60 });
      clock.advance(60_000);
      const late = await identify(server, 'register', input('late', { invitationCode: short.invitationCode }));
      assert.equal(late.code, 'PERMISSION_DENIED');
      for (const lifetimeSeconds of [0, -1, 90 * 86_400 + 1]) {
        assert.equal((await invite({ lifetimeSeconds })).code, 'INVALID_INPUT');
      }
    });
  });
}
