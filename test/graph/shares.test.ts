import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeEntryId, encodeGlobalId } from '../../src/graph/ids.ts';
import { Account } from '../../src/storage/entities/account.ts';
import { Share } from '../../src/storage/entities/share.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { linkAccount, type MemoryDrive, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const SHARE = 'id url password remark expiresAt createdAt active account { id } entries { id name }';
const ERROR =
  '... on UserError { code message retryable } ... on UnsupportedError { ability } ... on InvalidInputError { issues { path message } }';
const DOCUMENTS = {
  create: `mutation ($input: CreateShareInput!) { result: createShare(input: $input) { __typename ... on CreateSharePayload { share { ${SHARE} } } ${ERROR} } }`,
  update: `mutation ($input: UpdateShareInput!) { result: updateShare(input: $input) { __typename ... on UpdateSharePayload { share { ${SHARE} } } ${ERROR} } }`,
  cancel: `mutation ($input: CancelShareInput!) { result: cancelShare(input: $input) { __typename ... on CancelSharePayload { id } ${ERROR} } }`,
  save: `mutation ($input: SaveShareInput!) { result: saveShare(input: $input) { __typename ... on SaveSharePayload { entries { id name } } ${ERROR} } }`,
} as const;
const LIST = `query ($id: ID!, $first: Int, $after: String) {
  node(id: $id) { ... on CloudAccount { label shares(first: $first, after: $after) { nodes { ${SHARE} } pageInfo { hasNextPage endCursor } } } }
}`;
const NODE = `query ($id: ID!) { node(id: $id) { ... on Share { ${SHARE} } } }`;

/** Long enough that a share made at the drive's own time works now. */
const LONG = 36_500;

describe('shares', { timeout: 120_000 }, () => {
  let app: TestApp;
  let admin: Person;
  let person: Person;
  let stranger: Person;
  /** Makes shares and can do no more, as Baidu. */
  const making = memoryDrive({ id: 'BAIDU', acts: ['statMany', 'shares'], shareActs: ['create'] });
  /** Can do all with them. */
  const full = memoryDrive({ id: 'PAN123', pageMax: 2, acts: ['shares'], timelessShares: true });
  const accounts = new Map<MemoryDrive, { readonly rowId: string; readonly id: string }>();

  before(async () => {
    app = await startTestApp({ drives: [local, making.definition, full.definition] });
    admin = await registerUser(app);
    person = await registerUser(app);
    stranger = await registerUser(app);
    for (const drive of [making, full]) {
      drive.put('/a.txt', '/b.txt', '/folder/', '/folder/c.txt');
      accounts.set(drive, await link(drive, person));
    }
  });
  after(() => app.close());
  beforeEach(() => {
    for (const drive of [making, full]) {
      drive.mend();
      drive.calls.length = 0;
    }
  });

  async function link(drive: MemoryDrive, owner: Person, more: object = {}) {
    const { id } = await linkAccount(app, owner.userId, { provider: drive.definition.id, ...more });
    return { rowId: id, id: encodeGlobalId('CloudAccount', id) };
  }
  const idOf = (drive: MemoryDrive): string => accounts.get(drive)?.id ?? '';
  const at = (drive: MemoryDrive, path: string, accountId = idOf(drive)): object => ({ path: { accountId, path } });
  const ask = (document: string, variables: object, who = person): Promise<GraphqlAnswer<Answer>> =>
    app.graphql<Answer>(document, variables, who.token);
  async function act(name: keyof typeof DOCUMENTS, input: object, who = person): Promise<Answer> {
    const answer = await ask(DOCUMENTS[name], { input }, who);
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data.result;
  }
  async function share(drive: MemoryDrive, more: object = {}, who = person): Promise<Answer> {
    const made = await act('create', { entries: [at(drive, '/a.txt')], days: LONG, ...more }, who);
    assert.equal(made.__typename, 'CreateSharePayload', JSON.stringify(made));
    return made.share;
  }
  const node = async (id: string, who = person): Promise<Answer> => (await ask(NODE, { id }, who)).data.node;
  async function list(drive: MemoryDrive, more: object = {}, who = person): Promise<Answer> {
    const answer = await ask(LIST, { id: idOf(drive), ...more }, who);
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    return answer.data.node.shares;
  }

  describe('where the provider only makes them', () => {
    it('are made, told again with their password, and listed, the newest first', async () => {
      const first = await share(making, { password: 'word', remark: 'For you' });
      assert.match(first.url, /^https:\/\/shares\.example/);
      assert.deepEqual(
        [first.password, first.remark, first.active, first.account.id],
        ['word', 'For you', true, idOf(making)],
      );
      assert.deepEqual(
        first.entries.map(({ name }: Answer) => name),
        ['a.txt'],
      );
      assert.deepEqual(await node(first.id), first);
      const second = await share(making, { entries: [at(making, '/folder'), at(making, '/b.txt')], days: 0 });
      assert.equal(second.expiresAt, null);
      assert.equal(second.entries.length, 2);
      const page = await list(making, { first: 1 });
      assert.deepEqual(page.nodes, [second]);
      assert.ok(page.pageInfo.hasNextPage);
      const next = await list(making, { first: 1, after: page.pageInfo.endCursor });
      assert.deepEqual(next.nodes, [first]);
      assert.ok(!making.calls.includes('shares.list'));
    });

    it('take entries by id, each once, with one request', async () => {
      const { entries } = await share(making);
      making.calls.length = 0;
      const again = await share(making, { entries: [{ id: entries[0].id }, { id: entries[0].id }] });
      assert.equal(again.entries.length, 1);
      assert.deepEqual(making.calls.slice(0, 2), ['statMany', 'shares.create']);
    });

    it('are over when their time is, without asking the provider', async () => {
      const { id } = await share(making, { days: 1 }); // The drive's shares are made in the past.
      assert.equal((await node(id)).active, false);
    });

    it('cannot be changed or ended: refused, naming the ability, and nothing is sent', async () => {
      const { id } = await share(making);
      making.calls.length = 0;
      const updated = await act('update', { id, remark: 'x' });
      assert.deepEqual([updated.code, updated.ability], ['UNSUPPORTED', 'SHARE_UPDATE']);
      const cancelled = await act('cancel', { id });
      assert.deepEqual([cancelled.code, cancelled.ability], ['UNSUPPORTED', 'SHARE_CANCEL']);
      const saved = await act('save', { url: 'https://shares.example/1', parent: at(making, '/') });
      assert.deepEqual([saved.code, saved.ability], ['UNSUPPORTED', 'SHARE_SAVE']);
      assert.deepEqual(making.calls, []);
      assert.equal((await node(id)).active, true);
    });

    it('are told while the provider fails; of their entries, which it cannot tell, it is said', async () => {
      const { id } = await share(making);
      making.fail('statMany', new DriveError('unavailable', 'The provider is down.', { provider: 'BAIDU' }));
      const { data, errors } = await ask(NODE, { id });
      assert.equal(data.node.id, id);
      assert.equal(data.node.entries, null);
      assert.deepEqual(errors?.[0]?.path, ['node', 'entries']);
      assert.equal(errors?.[0]?.extensions?.code, 'PROVIDER_FAILED');
    });
  });

  describe('where the provider lists them', () => {
    it('are its own to tell, those made elsewhere too, on pages of any size', async () => {
      full.shares.clear();
      const made = await share(full, { password: 'mine' });
      const elsewhere = { ref: 'web/1', url: 'https://shares.example/web', password: 'theirs', remark: null };
      full.shares.set('web/1', { ...elsewhere, createdAt: null, expiresAt: null, active: true });
      full.shares.set('web/2', { ...elsewhere, ref: 'web/2', createdAt: null, expiresAt: null, active: false });
      const { nodes } = await list(full, { first: 3 });
      assert.deepEqual(nodes[0], made);
      assert.deepEqual(
        nodes.map((one: Answer) => [one.password, one.active, one.entries === null, one.createdAt === null]),
        [
          ['mine', true, false, false],
          ['theirs', true, true, true],
          ['theirs', false, true, true],
        ],
      );
      const page = await list(full, { first: 1 });
      const next = await list(full, { first: 2, after: page.pageInfo.endCursor });
      assert.deepEqual(
        next.nodes.map(({ id }: Answer) => id),
        [nodes[1].id, nodes[2].id],
      );
      assert.equal((await node(nodes[2].id)).url, elsewhere.url);
      assert.equal(await node(encodeGlobalId('Share', `${accounts.get(full)?.rowId}/web/3`)), null);
    });

    it('remember a password that the provider does not tell', async () => {
      const { id } = await share(full, { password: 'mine' });
      for (const [ref, one] of full.shares) full.shares.set(ref, { ...one, password: null });
      assert.equal((await node(id)).password, 'mine');
    });

    it('are changed: what is left out stays', async () => {
      const { id, expiresAt } = await share(full, { password: 'old', remark: 'Old' });
      const { share: changed } = await act('update', { id, password: 'new' });
      assert.deepEqual([changed.password, changed.remark, changed.expiresAt], ['new', 'Old', expiresAt]);
      const { share: bare } = await act('update', { id, password: '', remark: '', days: 0 });
      assert.deepEqual([bare.password, bare.remark, bare.expiresAt], [null, null, null]);
      assert.deepEqual(await node(id), bare);
      assert.deepEqual((await act('update', { id })).issues[0].path, ['input']);
    });

    it('are ended once, also when somebody ended them elsewhere', async () => {
      const { id } = await share(full);
      assert.deepEqual(await act('cancel', { id }), { __typename: 'CancelSharePayload', id });
      assert.equal((await node(id)).active, false);
      full.calls.length = 0;
      assert.equal((await act('cancel', { id })).id, id);
      assert.deepEqual(full.calls, []);

      const other = await share(full);
      full.shares.clear();
      assert.equal((await act('cancel', { id: other.id })).id, other.id);
      const unknown = encodeGlobalId('Share', `${accounts.get(full)?.rowId}/nothing`);
      assert.equal((await act('cancel', { id: unknown })).code, 'NOT_FOUND');
    });

    it('are not listed in part: its failure is told, the rest of the answer is whole', async () => {
      full.shares.clear();
      for (let made = 0; made < 3; made += 1) await share(full);
      full.fail('shares.list', new DriveError('rate_limited', 'Too many.', { provider: 'PAN123' }), 1);
      const answer = await ask(
        `query ($id: ID!) { viewer { username } node(id: $id) { ... on CloudAccount { shares { nodes { id } } } } }`,
        { id: idOf(full) },
      );
      assert.equal(answer.data.viewer.username, person.username);
      assert.equal(answer.data.node, null);
      assert.equal(answer.errors?.[0]?.extensions?.code, 'RATE_LIMITED');
    });
  });

  describe('what others shared', () => {
    it('is saved into a folder', async () => {
      const url = 'https://shares.example/theirs';
      const wrong = await act('save', { url, password: 'wrong', parent: at(full, '/folder') });
      assert.equal(wrong.code, 'PERMISSION_DENIED');
      const idempotencyKey = randomUUID();
      const input = { url, password: 'right', parent: at(full, '/folder'), idempotencyKey };
      const saved = await act('save', input);
      assert.equal(saved.entries.length, 1, JSON.stringify(saved));
      assert.deepEqual(await act('save', input), saved);
      assert.equal(full.calls.filter((call) => call === 'shares.save').length, 2);
    });

    it('is asked for by an http address, and put into a folder', async () => {
      for (const url of [
        '',
        'x',
        'file:///etc/passwd',
        'javascript:alert(1)',
        `https://x.example/${'x'.repeat(2100)}`,
      ]) {
        const { issues } = await act('save', { url, parent: at(full, '/folder') });
        assert.deepEqual(issues?.[0].path, ['input', 'url'], url);
      }
      const { issues } = await act('save', { url: 'https://x.example/', parent: at(full, '/a.txt') });
      assert.deepEqual(issues[0].path, ['input', 'parent']);
      assert.ok(!full.calls.includes('shares.save'));
    });
  });

  describe('bad input', () => {
    it('is named, and nothing is sent', async () => {
      const bad: readonly [object, readonly string[]][] = [
        [{ entries: [] }, ['input', 'entries']],
        [{ entries: Array.from({ length: 101 }, () => at(making, '/a.txt')) }, ['input', 'entries']],
        [{ entries: [at(making, '/a.txt'), at(full, '/a.txt')] }, ['input', 'entries']],
        [{ days: -1 }, ['input', 'days']],
        [{ days: 2 ** 31 - 1 }, ['input', 'days']],
        [{ password: 'a\u0000b' }, ['input', 'password']],
        [{ remark: 'x'.repeat(1001) }, ['input', 'remark']],
        [{ ticket: '\ud800' }, ['input', 'ticket']],
        [{ idempotencyKey: '' }, ['input', 'idempotencyKey']],
        [{ entries: [at(making, 'x')] }, ['input', 'entries', '0', 'path', 'path']],
      ];
      for (const [more, path] of bad) {
        const { code, issues } = await act('create', { entries: [at(making, '/a.txt')], ...more });
        assert.equal(code, 'INVALID_INPUT', JSON.stringify(more));
        assert.deepEqual(issues[0].path, path, JSON.stringify(more));
      }
      assert.ok(!making.calls.includes('shares.create'));
    });

    it('of things that are not there is NOT_FOUND', async () => {
      const missing = encodeEntryId('FILE', accounts.get(making)?.rowId ?? '', 'nothing');
      for (const entry of [{ id: missing }, { id: 'nonsense' }, at(making, '/nothing')]) {
        assert.equal((await act('create', { entries: [at(making, '/a.txt'), entry] })).code, 'NOT_FOUND');
      }
      const odd = encodeGlobalId('Share', `${accounts.get(making)?.rowId}/a\u0000b`);
      for (const id of ['nonsense', '', encodeGlobalId('Share', 'x'), odd]) {
        assert.equal((await act('cancel', { id })).code, 'NOT_FOUND', id);
        assert.equal((await act('update', { id, remark: 'x' })).code, 'NOT_FOUND', id);
        if (id !== '') assert.equal(await node(id), null, id);
      }
    });
  });

  it('of a drive that has none are refused, naming the ability', async () => {
    const created = await act('create', { entries: [{ path: { accountId: person.accountId, path: '/' } }] });
    assert.deepEqual([created.code, created.ability], ['UNSUPPORTED', 'SHARE_CREATE']);
    const { errors } = await ask(LIST, { id: person.accountId });
    assert.equal(errors?.[0]?.extensions?.code, 'UNSUPPORTED');
  });

  it('that the provider refuses are not kept, and the request can be sent again', async () => {
    const before = (await list(making)).nodes.length;
    making.fail(
      'shares.create',
      new DriveError('blocked', 'Not granted.', { provider: 'BAIDU', providerCode: '13998' }),
    );
    const input = { entries: [at(making, '/a.txt')], password: 'word', idempotencyKey: randomUUID() };
    assert.equal((await act('create', input)).code, 'PROVIDER_FAILED');
    making.mend();
    assert.equal((await list(making)).nodes.length, before);
    assert.equal((await act('create', input)).__typename, 'CreateSharePayload');
  });

  it('are made once for an idempotency key, however often it is sent', async () => {
    for (const drive of [making, full]) {
      const idempotencyKey = randomUUID();
      const input = { entries: [at(drive, '/a.txt')], days: LONG, password: 'word', idempotencyKey };
      const [first, second] = await Promise.all([act('create', input), act('create', input)]);
      assert.deepEqual(second, first);
      assert.deepEqual(await act('create', input), first);
      assert.equal(first.share.password, 'word');
      assert.equal(drive.calls.filter((call) => call === 'shares.create').length, 1);
      assert.equal((await act('create', { ...input, days: 7 })).code, 'CONFLICT');
      assert.equal((await act('create', { ...input, password: null })).code, 'CONFLICT');
    }
  });

  it('are nobody else’s to see, change or end', async () => {
    for (const drive of [making, full]) {
      const mine = await share(drive);
      for (const who of [stranger, admin]) {
        assert.equal(await node(mine.id, who), null);
        assert.equal((await act('cancel', { id: mine.id }, who)).code, 'NOT_FOUND');
        assert.equal((await act('update', { id: mine.id, remark: 'x' }, who)).code, 'NOT_FOUND');
        assert.equal((await act('create', { entries: [at(drive, '/a.txt')] }, who)).code, 'NOT_FOUND');
      }
      assert.deepEqual(await node(mine.id), mine);
    }
  });

  it('of a shared account are each user’s own; what the provider lists is its owner’s', async () => {
    for (const drive of [making, full]) {
      const common = await link(drive, admin, { shared: true });
      const entries = [at(drive, '/a.txt', common.id)];
      const mine = await share(drive, { entries, password: 'mine' });
      const theirs = await share(drive, { entries, password: 'theirs' }, stranger);
      const seenBy = async (who: Person): Promise<Answer> => {
        const { data } = await ask(LIST, { id: common.id }, who);
        return data.node.shares.nodes.map(({ id }: Answer) => id);
      };
      assert.deepEqual(await seenBy(person), [mine.id]);
      assert.deepEqual(await seenBy(stranger), [theirs.id]);
      assert.equal(await node(theirs.id, person), null);
      assert.equal((await act('cancel', { id: theirs.id })).code, 'NOT_FOUND');
      const owners = await seenBy(admin);
      assert.equal(owners.includes(mine.id), drive === full);
    }
  });

  it('are forgotten with their account', async () => {
    const other = await link(making, person);
    const { id } = await share(making, { entries: [at(making, '/a.txt', other.id)] });
    const { data } = await ask(
      'mutation ($accountId: ID!) { unlinkAccount(input: { accountId: $accountId }) { __typename } }',
      { accountId: other.id },
    );
    assert.equal(data.unlinkAccount.__typename, 'UnlinkAccountPayload');
    assert.equal(await node(id), null);
    const em = app.app.storage.fork();
    assert.equal(await em.count(Share, { accountId: other.rowId }), 0);
  });

  it('made here are told while their account waits to be linked again', async () => {
    const other = await link(making, person);
    const { id } = await share(making, { entries: [at(making, '/a.txt', other.id)], password: 'word' });
    const em = app.app.storage.fork();
    await em.nativeUpdate(Account, { id: other.rowId }, { status: 'NEEDS_REAUTHORIZATION' });
    assert.equal((await node(id)).password, 'word');
    const { data } = await ask(LIST, { id: other.id });
    assert.equal(data.node.shares.nodes.length, 1);
    const created = await act('create', { entries: [at(making, '/a.txt', other.id)] });
    assert.equal(created.code, 'REAUTHORIZATION_REQUIRED');
    assert.equal((await act('cancel', { id })).code, 'REAUTHORIZATION_REQUIRED');
  });

  it('keep their password sealed: it is in no log line and no row', async () => {
    const canary = 'canary-7391';
    const idempotencyKey = randomUUID();
    const { id } = await share(making, { password: canary, ticket: `${canary}-ticket`, idempotencyKey });
    await act('create', { entries: [at(making, '/a.txt')], password: `${canary}\n` });
    making.fail('shares.create', new Error(`broken ${canary}`));
    const answer = await ask(DOCUMENTS.create, { input: { entries: [at(making, '/a.txt')], password: canary } });
    assert.doesNotMatch(JSON.stringify(answer), /canary/);
    assert.equal((await node(id)).password, canary);
    const connection = app.app.storage.fork().getConnection();
    for (const table of ['shares', 'idempotency_records', 'audit_records']) {
      const rows = JSON.stringify(await connection.execute(`select * from ${table}`));
      assert.doesNotMatch(rows, /canary/, table);
    }
    making.mend();
    const saved = await act('save', { url: 'https://shares.example/1', password: canary, parent: at(full, '/folder') });
    assert.equal(saved.code, 'PERMISSION_DENIED');
    const told = app.logLines.filter((line) => line.includes('canary') && !line.includes(`broken ${canary}`));
    assert.deepEqual(told, []);
  });
});
