import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import type { Account } from '../../src/storage/entities/account.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { linkAccount, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';

const ACCOUNTS = `query ($first: Int, $after: String) { viewer { accounts(first: $first, after: $after) {
  edges { cursor } nodes { id label provider shared status } pageInfo { hasNextPage endCursor } } } }`;
const UPDATE = `mutation ($input: UpdateAccountInput!) { updateAccount(input: $input) {
  __typename ... on UpdateAccountPayload { account { id label } } ... on UserError { code } ... on InvalidInputError { issues { path } } } }`;

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

describe('accounts', { timeout: 60_000 }, () => {
  let app: TestApp;
  let admin: Person;
  let person: Person;

  before(async () => {
    app = await startTestApp({ drives: [local, memoryDrive().definition] });
    admin = await registerUser(app);
    person = await registerUser(app);
  });
  after(() => app.close());

  const ask = (document: string, variables: object = {}, who = person): Promise<GraphqlAnswer<Answer>> =>
    app.graphql<Answer>(document, variables, who.token);
  const idOf = ({ id }: Account): string => encodeGlobalId('CloudAccount', id);

  it('list the providers with all that a client needs to show their forms', async () => {
    const { data } = await ask(
      `{ providers { id title configured linkMethods abilities settings { name title help secret required }
         errorCodes { code meaning category retryable hint } } }`,
    );
    const [built, other] = data.providers;
    assert.equal(built.id, 'LOCAL');
    assert.ok(['LIST', 'MOVE', 'SEARCH_NAME', 'CHANGES'].every((ability) => built.abilities.includes(ability)));
    assert.deepEqual(other.abilities, ['LIST', 'READ', 'CHANGES']);
    assert.equal(other.settings[0].secret, true);
    assert.equal(other.errorCodes[0].hint, 'Wait.');
  });

  it('come in pages: the built-in drive first, then by age, shared ones of others too', async () => {
    const owned = [await linkAccount(app, person.userId, { label: 'one' }), await linkAccount(app, person.userId)];
    const shared = await linkAccount(app, admin.userId, { shared: true, label: 'for all' });
    const hidden = await linkAccount(app, admin.userId, { label: 'mine alone' });
    const seen: string[] = [];
    let after: string | null = null;
    for (;;) {
      const { data }: Answer = await ask(ACCOUNTS, { first: 1, after });
      seen.push(data.viewer.accounts.nodes[0].id);
      if (!data.viewer.accounts.pageInfo.hasNextPage) break;
      after = data.viewer.accounts.pageInfo.endCursor;
    }
    assert.deepEqual(seen, [person.accountId, ...owned.map(idOf), idOf(shared)]);
    for (const cursor of ['', 'garbage', '1.', `2.${shared.id}`, `${after}x`]) {
      const { errors } = await ask(ACCOUNTS, { after: cursor });
      const { code, issues } = (errors?.[0]?.extensions ?? {}) as Answer;
      assert.deepEqual([code, issues?.[0].path], ['INVALID_INPUT', ['after']], cursor);
    }
    const { data } = await ask('query ($id: ID!) { node(id: $id) { id } }', { id: idOf(hidden) });
    assert.equal(data.node, null);
  });

  it('show an administrator nothing of the drives of others', async () => {
    const { data } = await ask(
      'query ($id: ID!) { node(id: $id) { ... on User { accounts { nodes { shared } } } } }',
      { id: encodeGlobalId('User', person.userId) },
      admin,
    );
    assert.ok(data.node.accounts.nodes.every(({ shared }: Answer) => shared));
    assert.equal(
      (await ask('query ($id: ID!) { node(id: $id) { id } }', { id: person.accountId }, admin)).data.node,
      null,
    );
  });

  it('never show what they are reached with', async () => {
    const account = await linkAccount(app, person.userId, { sealedCredentials: 'v1:sealed-canary' });
    const answer = await ask(
      'query ($id: ID!) { node(id: $id) { ... on CloudAccount { credentials { expiresAt refreshedAt masked } } } }',
      { id: idOf(account) },
    );
    assert.deepEqual(answer.data.node.credentials, { expiresAt: null, refreshedAt: null, masked: '••••••••' });
    assert.doesNotMatch(JSON.stringify(answer) + app.logLines.join(''), /canary/);
  });

  it('get a new label from their owner only', async () => {
    const { data } = await ask(UPDATE, { input: { accountId: person.accountId, label: '  家里的网盘 ' } });
    assert.equal(data.updateAccount.account.label, '家里的网盘');
    const unchanged = await ask(UPDATE, { input: { accountId: person.accountId } });
    assert.equal(unchanged.data.updateAccount.account.label, '家里的网盘');

    const shared = await linkAccount(app, admin.userId, { shared: true });
    const refused = await ask(UPDATE, { input: { accountId: idOf(shared), label: 'mine' } });
    assert.equal(refused.data.updateAccount.code, 'PERMISSION_DENIED');
    const unknown = await ask(UPDATE, { input: { accountId: admin.accountId, label: 'mine' } });
    assert.equal(unknown.data.updateAccount.code, 'NOT_FOUND');
  });

  it('refuse labels that are none', async () => {
    for (const label of ['', '   ', 'a'.repeat(129), 'a\nb', 'a\0b']) {
      const { data } = await ask(UPDATE, { input: { accountId: person.accountId, label } });
      assert.deepEqual(data.updateAccount.issues, [{ path: ['input', 'label'] }], JSON.stringify(label));
    }
  });

  it('can be named in one fragment for all errors, beside payloads that have an account', async () => {
    const { data, errors } = await ask(
      `mutation ($input: UpdateAccountInput!) {
        updateAccount(input: $input) { ... on UpdateAccountPayload { account { id } } ...Failure } }
       fragment Failure on UserError { code message ... on ReauthorizationRequiredError { accountId } }`,
      { input: { accountId: person.accountId } },
    );
    assert.deepEqual([errors, data.updateAccount.account.id], [undefined, person.accountId]);
  });

  it('tell why they cannot be used, and are still there', async () => {
    for (const [status, code] of [
      ['NEEDS_REAUTHORIZATION', 'REAUTHORIZATION_REQUIRED'],
      ['DISABLED', 'PERMISSION_DENIED'],
    ] as const) {
      const account = await linkAccount(app, person.userId, { status });
      const id = idOf(account);
      const { data, errors } = await ask(
        'query ($id: ID!) { node(id: $id) { ... on CloudAccount { label status abilities storage { usedBytes } } } }',
        { id },
      );
      assert.deepEqual(data.node, { label: 'Linked', status, abilities: ['LIST', 'READ', 'CHANGES'], storage: null });
      assert.equal(errors?.[0]?.extensions?.code, code);

      const made = await ask(
        `mutation ($input: CreateFolderInput!) { createFolder(input: $input) {
           ... on UserError { code } ... on ReauthorizationRequiredError { accountId account { id status } } } }`,
        { input: { parent: { path: { accountId: id, path: '/' } }, name: 'a' } },
      );
      assert.equal(made.data.createFolder.code, code);
      if (code === 'REAUTHORIZATION_REQUIRED') {
        const { accountId, account } = made.data.createFolder;
        assert.deepEqual([accountId, account], [id, { id, status }]);
      }
    }
  });

  it('of a provider that this server has no driver for can do nothing', async () => {
    const account = await linkAccount(app, person.userId, { provider: 'PAN115' });
    const { data, errors } = await ask(
      'query ($id: ID!) { node(id: $id) { ... on CloudAccount { provider abilities storage { usedBytes } } } }',
      { id: idOf(account) },
    );
    assert.deepEqual(data.node, { provider: 'PAN115', abilities: [], storage: null });
    assert.equal(errors?.[0]?.extensions?.code, 'UNSUPPORTED');
  });
});
