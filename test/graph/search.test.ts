import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { DriveDefinition, Driver } from '../../src/drives/driver.ts';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { putFile } from '../support/files.ts';
import { ManualTimer } from '../support/manual-timer.ts';
import { linkAccount, type MemoryDrive, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';

const SEARCH = `query ($query: String!, $accountIds: [ID!], $mode: SearchMode, $kind: EntryKind, $first: Int, $after: String) {
  search(query: $query, accountIds: $accountIds, mode: $mode, kind: $kind, first: $first, after: $after) {
    nodes { name account { id } } edges { cursor }
    incomplete { account { id } error { __typename code message retryable } }
    pageInfo { hasNextPage endCursor }
  }
}`;

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

describe('search', { timeout: 60_000 }, () => {
  let app: TestApp;
  let person: Person;
  let pan123: MemoryDrive;
  let pan115: MemoryDrive;
  let first: string;
  let second: string;

  before(async () => {
    pan123 = memoryDrive({ id: 'PAN123', acts: ['searchByName'], pageMax: 3 });
    pan115 = memoryDrive({ id: 'PAN115', acts: ['searchByName'] });
    app = await startTestApp({ drives: [local, pan123.definition, pan115.definition, memoryDrive().definition] });
    person = await registerUser(app);
    for (let index = 0; index < 3; index += 1) await putFile(app, person, `report ${index}`, Buffer.from('x'));
    for (let index = 0; index < 7; index += 1) pan123.put(`/deep/report ${index}`);
    for (let index = 0; index < 2; index += 1) pan115.put(`/report ${index}/`);
    first = encodeGlobalId('CloudAccount', (await linkAccount(app, person.userId, { provider: 'PAN123' })).id);
    second = encodeGlobalId('CloudAccount', (await linkAccount(app, person.userId, { provider: 'PAN115' })).id);
  });
  after(() => app.close());
  beforeEach(() => {
    pan123.mend();
    pan115.mend();
  });

  const ask = (variables: object): Promise<GraphqlAnswer<Answer>> =>
    app.graphql<Answer>(SEARCH, { query: 'report', ...variables }, person.token);
  async function search(variables: object = {}): Promise<Answer> {
    const { data, errors } = await ask(variables);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data.search;
  }
  const found = ({ nodes }: Answer): string[] => nodes.map(({ name, account }: Answer) => `${account.id} ${name}`);

  it('takes one of each account in turn', async () => {
    const page = await search();
    assert.deepEqual(
      page.nodes.slice(0, 6).map(({ account }: Answer) => account.id),
      [person.accountId, first, second, person.accountId, first, second],
    );
    assert.equal(page.nodes.length, 12);
    assert.equal(new Set(found(page)).size, 12);
    assert.deepEqual(page.incomplete, []);
    assert.equal(page.pageInfo.hasNextPage, false);
  });

  it('gives the same order in pages of any size, and behind any result', async () => {
    const whole = await search();
    for (const size of [1, 2, 5, 11]) {
      const pages: string[] = [];
      let after: string | null = null;
      for (;;) {
        const page = await search({ first: size, after });
        pages.push(...found(page));
        if (!page.pageInfo.hasNextPage) break;
        after = page.pageInfo.endCursor;
      }
      assert.deepEqual(pages, found(whole), `pages of ${size}`);
    }
    for (const [index, { cursor }] of whole.edges.entries()) {
      assert.deepEqual(found(await search({ after: cursor })), found(whole).slice(index + 1));
    }
  });

  it('keeps to the accounts asked for, in their order', async () => {
    const page = await search({ accountIds: [second, person.accountId, second] });
    assert.deepEqual(
      page.nodes.map(({ account }: Answer) => account.id),
      [second, person.accountId, second, person.accountId, person.accountId],
    );
  });

  it('names an account that failed, and asks it again on the next page', async () => {
    pan123.fail('searchByName', new DriveError('rate_limited', 'Too fast.', { provider: 'PAN123' }));
    const page = await search({ first: 2 });
    assert.deepEqual(
      page.nodes.map(({ account }: Answer) => account.id),
      [person.accountId, second],
    );
    assert.deepEqual(page.incomplete, [
      {
        account: { id: first },
        error: { __typename: 'RateLimitedError', code: 'RATE_LIMITED', message: 'Too fast.', retryable: true },
      },
    ]);
    pan123.mend();
    const rest = await search({ after: page.pageInfo.endCursor });
    assert.deepEqual(rest.incomplete, []);
    assert.equal(rest.nodes.length, 10);
  });

  it('does not give what a failing provider told before it failed', async () => {
    pan123.fail('searchByName', new DriveError('unavailable', 'Cut.', { provider: 'PAN123' }), 1);
    const page = await search({ accountIds: [first] });
    assert.deepEqual(page.nodes, []);
    assert.equal(page.incomplete[0].error.code, 'PROVIDER_FAILED');
    assert.equal(page.pageInfo.hasNextPage, false);
  });

  it('shows nothing of a bug', async () => {
    pan123.fail('searchByName', new Error('password=hunter2'));
    const page = await search();
    assert.equal(page.incomplete[0].error.code, 'UNAVAILABLE');
    assert.doesNotMatch(JSON.stringify(page), /hunter2/);
  });

  it('says which accounts cannot search so', async () => {
    const { id } = await linkAccount(app, person.userId);
    const without = await search({ accountIds: [encodeGlobalId('CloudAccount', id)] });
    assert.equal(without.incomplete[0].error.code, 'UNSUPPORTED');
    const semantic = await search({ mode: 'SEMANTIC', accountIds: [person.accountId, first] });
    assert.deepEqual(
      semantic.incomplete.map(({ error }: Answer) => error.code),
      ['UNSUPPORTED', 'UNSUPPORTED'],
    );
    assert.deepEqual(semantic.nodes, []);
  });

  it('refuses queries, accounts and cursors that are none', async () => {
    const page = await search({ first: 1 });
    for (const [variables, path] of [
      [{ query: '  ' }, 'query'],
      [{ query: 'a'.repeat(256) }, 'query'],
      [{ query: 'a\0b' }, 'query'],
      [{ accountIds: [] }, 'accountIds'],
      [{ first: 101 }, 'first'],
      [{ after: 'nonsense' }, 'after'],
      [{ query: 'other', after: page.pageInfo.endCursor }, 'after'],
      [{ kind: 'FILE', after: page.pageInfo.endCursor }, 'after'],
    ] as const) {
      const { errors } = await ask(variables);
      const extensions = errors?.[0]?.extensions as Answer;
      assert.deepEqual(extensions?.issues?.[0].path, [path], JSON.stringify(variables));
    }
    const { errors } = await ask({ accountIds: [person.accountId, 'nonsense'] });
    assert.equal(errors?.[0]?.extensions?.code, 'NOT_FOUND');
  });

  it('takes no account from a cursor that the viewer may not see', async () => {
    const stranger = await registerUser(app);
    const theirs = await putFile(app, stranger, 'report of another', Buffer.from('x'));
    const page = await search({ first: 1 });
    const [mark] = JSON.parse(Buffer.from(page.pageInfo.endCursor, 'base64url').toString());
    const forged = Buffer.from(JSON.stringify([mark, [[stranger.accountRowId, null]]])).toString('base64url');
    const answer = await search({ after: forged });
    assert.deepEqual([answer.nodes, answer.incomplete], [[], []]);
    assert.ok(theirs.id);
  });

  it('does not wait for an account that does not answer: the others are shown, and it is asked again', async () => {
    const timer = new ManualTimer();
    const asked = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    let silent = true;
    const slow: DriveDefinition = {
      ...pan123.definition,
      create: (...args) => {
        const driver = pan123.definition.create(...args);
        const searchByName: Driver['searchByName'] = async (request, page, call) => {
          if (!silent) return driver.searchByName?.(request, page, call) ?? assert.fail('it searches');
          call.signal.addEventListener('abort', () => ended.resolve());
          asked.resolve();
          return new Promise(() => {});
        };
        return { ...driver, searchByName };
      },
    };
    const server = await startTestApp({ drives: [local, slow, pan115.definition], searchTimer: timer });
    try {
      const searcher = await registerUser(server);
      const { id } = await linkAccount(server, searcher.userId, { provider: 'PAN123' });
      await linkAccount(server, searcher.userId, { provider: 'PAN115' });
      const answering = server.graphql<Answer>(SEARCH, { query: 'report' }, searcher.token);
      await asked.promise;
      await timer.advance(10_000);
      const { data } = await answering;
      assert.deepEqual(
        data.search.nodes.map(({ name }: Answer) => name),
        ['report 0', 'report 1'],
      );
      const [gap] = data.search.incomplete;
      assert.deepEqual(
        [gap.account.id, gap.error.code, gap.error.retryable],
        [encodeGlobalId('CloudAccount', id), 'UNAVAILABLE', true],
      );
      await ended.promise;

      silent = false;
      const after = data.search.edges.at(-1).cursor;
      const { data: next } = await server.graphql<Answer>(SEARCH, { query: 'report', after }, searcher.token);
      assert.equal(next.search.nodes.length, 7);
      assert.deepEqual(next.search.incomplete, []);
    } finally {
      await server.close();
    }
  });
});
