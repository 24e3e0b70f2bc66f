import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { getNamedType, isLeafType } from 'graphql';
import { schema } from '../../src/graph/schema.ts';
import { API_SCOPES } from '../../src/storage/entities/identity.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { createApiKey, type Person, registerUser } from '../support/people.ts';
import { ROOT_FIELDS, type RootField } from '../support/root-fields.ts';
import { nodeTypes } from '../support/schema-walk.ts';

/** Whoever adds a field here lets everybody call it who can reach the server. */
const PUBLIC = new Set(['viewer', 'register', 'login', 'refreshSession', 'requestPasswordReset', 'resetPassword']);
/** What the answer to somebody without the right says, and nothing else does. */
const REFUSAL = 'This session or API key has not the right to do that.';

const PROTECTED = ROOT_FIELDS.filter(({ name }) => !PUBLIC.has(name));

describe('rights', () => {
  let server: TestApp;
  let admin: Person;
  let user: Person;
  const keys = new Map<string, string>();
  before(async () => {
    server = await startTestApp();
    admin = await registerUser(server);
    user = await registerUser(server);
    for (const scope of API_SCOPES) keys.set(scope, (await createApiKey(server, admin.token, [scope])).secret);
  });
  after(() => server.close());

  /** The first error that the field answers: UNAUTHENTICATED, REFUSED, or what else; null for none. */
  async function outcome(field: RootField, token: string | null): Promise<string | null> {
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    if (field.kind === 'subscription') headers.accept = 'text/event-stream';
    const response = await fetch(`${server.url}/graphql`, { method: 'POST', ...bodyOf(field, headers) });
    const text = await response.text();
    const json = field.kind === 'subscription' ? (/^data: ?(.+)$/m.exec(text)?.[1] ?? text) : text;
    const { data, errors } = JSON.parse(json);
    const error = errors?.[0] ? { code: errors[0].extensions?.code, message: errors[0].message } : data?.[field.name];
    if (error?.message === REFUSAL) {
      assert.equal(error.code, 'PERMISSION_DENIED');
      return 'REFUSED';
    }
    assert.notEqual(error?.code, 'GRAPHQL_VALIDATION_FAILED', `${field.document}\n${error?.message}`);
    return error?.code ?? null;
  }

  test('every field states who may call it: no mutation is without a right of its own', () => {
    const silent = ROOT_FIELDS.filter(({ kind, right }) => kind === 'mutation' && Object.keys(right).length === 0);
    assert.deepEqual(silent, []);
  });

  test('the fields that are open to everybody are these alone', () => {
    const open = ROOT_FIELDS.filter(({ right }) => right.public).map(({ name }) => name);
    assert.deepEqual(new Set(open), PUBLIC);
  });

  test('without a token every other field is UNAUTHENTICATED', async () => {
    for (const field of PROTECTED) assert.equal(await outcome(field, null), 'UNAUTHENTICATED', field.name);
  });

  test('a token that is none of ours is no token', async () => {
    const [refreshPart = ''] = user.refreshToken.split('.');
    const [header, , signature] = user.token.split('.');
    const forged = [header, Buffer.from('{"sub":"x","sid":"x"}').toString('base64url'), signature].join('.');
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${user.token.split('.')[1]}.`;
    const tokens = [
      'x',
      'panql_',
      'panql_x',
      `panql_${refreshPart}`,
      user.refreshToken,
      refreshPart,
      user.userId,
      forged,
      unsigned,
    ];
    const field = ROOT_FIELDS.find(({ name }) => name === 'providers') ?? assert.fail();
    for (const token of [...tokens, `${user.token}x`, (keys.get('READ') ?? '').slice(0, -1)]) {
      assert.equal(await outcome(field, token), 'UNAUTHENTICATED', token);
    }
  });

  for (const scope of API_SCOPES) {
    test(`a key that has ${scope} alone is refused whatever needs more`, async () => {
      for (const field of PROTECTED) {
        const { kind, name, right } = field;
        const needed = [
          ...(kind === 'mutation' ? [] : ['READ']),
          ...(right.scope ? [right.scope] : []),
          ...(right.admin ? ['ADMIN'] : []),
        ];
        const mayCall = !right.session && needed.every((one) => one === scope);
        if (mayCall && kind === 'subscription') continue; // It stays open: the tests of subscriptions look at those.
        const got = await outcome(field, keys.get(scope) ?? '');
        assert.equal(got === 'REFUSED', !mayCall, `${name}: ${got}`);
        assert.notEqual(got, 'UNAUTHENTICATED', name);
      }
    });
  }

  test('who sends a token that does not count is told so, not to send one', async () => {
    const { errors } = await server.graphql('{ providers { id } }', {}, 'nonsense');
    assert.match(errors?.[0]?.message ?? '', /expired or was revoked/);
    assert.match((await server.graphql('{ providers { id } }')).errors?.[0]?.message ?? '', /^Sign in first/);
  });

  test('a key without READ sees what its mutation did, and cannot go on from there', async () => {
    const make = (selection: string, name: string) =>
      server.graphql(
        `mutation ($input: CreateFolderInput!) { createFolder(input: $input) { ... on CreateFolderPayload { folder { ${selection} } } } }`,
        { input: { parent: { path: { accountId: admin.accountId, path: '/' } }, name } },
        keys.get('WRITE'),
      );
    const { data, errors } = await make('id name path', 'made');
    assert.equal(errors, undefined);
    assert.equal(data.createFolder.folder.path, '/made');
    for (const [index, beyond] of ['parent { name }', 'account { label }', 'children { nodes { name } }'].entries()) {
      const refused = await make(`name ${beyond}`, `beyond ${index}`);
      assert.deepEqual(
        [refused.errors?.[0]?.message, refused.errors?.[0]?.extensions?.code],
        [REFUSAL, 'PERMISSION_DENIED'],
      );
    }
  });

  test('every field that leads on from an object asks for READ', () => {
    const held: string[] = [];
    for (const type of nodeTypes(schema)) {
      for (const field of Object.values(type.getFields())) {
        if (isLeafType(getNamedType(field.type))) continue;
        const viewer = { scopes: new Set(API_SCOPES.filter((scope) => scope !== 'READ')) };
        try {
          void field.resolve?.({}, {}, { viewer }, {} as never);
        } catch (error) {
          if ((error as Error).message === REFUSAL) held.push(`${type.name}.${field.name}`);
        }
      }
    }
    const all = nodeTypes(schema).flatMap((type) =>
      Object.values(type.getFields())
        .filter((field) => !isLeafType(getNamedType(field.type)))
        .map(({ name }) => `${type.name}.${name}`),
    );
    // What belongs to what the mutation did. Whoever adds one here lets keys without READ see it.
    assert.deepEqual(
      all.filter((name) => !held.includes(name)),
      ['File.hashes', 'OfflineTask.error', 'Transfer.entry', 'Transfer.error'],
    );
    assert.ok(held.length > 20);
  });

  test('a key without READ cannot even ask who it is', async () => {
    for (const [scope, key] of keys) {
      const { data, errors } = await server.graphql('{ viewer { username } }', {}, key);
      if (scope === 'READ') assert.equal(data.viewer.username, admin.username);
      else assert.deepEqual([data.viewer, errors?.[0]?.extensions?.code], [null, 'PERMISSION_DENIED'], scope);
    }
  });

  test('what is for administrators is refused to everybody else', async () => {
    const ofAdmins = PROTECTED.filter(({ right }) => right.admin);
    assert.ok(ofAdmins.length >= 6);
    for (const field of ofAdmins) assert.equal(await outcome(field, user.token), 'REFUSED', field.name);
  });
});

/** The operation as JSON, or as the form that a file needs. */
function bodyOf(field: RootField, headers: Record<string, string>): RequestInit {
  if (!field.takesFile) {
    return {
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ query: field.document }),
    };
  }
  const form = new FormData();
  form.set('operations', JSON.stringify({ query: field.document, variables: { file: null } }));
  form.set('map', JSON.stringify({ 0: ['variables.file'] }));
  form.set('0', new Blob(['x']), 'x.txt');
  return { headers, body: form };
}
