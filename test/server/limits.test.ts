import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { getIntrospectionQuery } from 'graphql';
import {
  ALIASES_MAX,
  DIRECTIVES_MAX,
  DOCUMENT_CHARACTERS_MAX,
  DOCUMENT_TOKENS_MAX,
  QUERY_LIMITS,
  ROOT_FIELDS_MAX,
} from '../../src/graph/limits.ts';
import type { TestApp } from '../support/app.ts';
import { registerUser } from '../support/people.ts';
import { probe, startProbedApp } from '../support/probe-app.ts';
import { type Ask, ask, type Result, TRANSPORTS } from '../support/transports.ts';

const nested = (depth: number): string => `${'{ deeper '.repeat(depth)}{ depth }${' }'.repeat(depth)}`;

describe('limits of an operation', () => {
  let app: TestApp;
  let token: string;
  before(async () => {
    app = await startProbedApp();
    token = (await registerUser(app)).token;
  });
  after(() => app.close());

  async function assertTaken(operation: Ask): Promise<void> {
    const [result] = await ask('http', app.url, { token, ...operation });
    assert.equal(result?.errors, undefined, result?.errors?.[0]?.message);
  }

  async function assertRefused(operation: Ask, code: string, transports = TRANSPORTS): Promise<readonly Result[]> {
    const answers: Result[] = [];
    for (const transport of transports) {
      const results = await ask(transport, app.url, { token, ...operation });
      assert.equal(results.length, 1, 'it ran');
      assert.equal(results[0]?.data, undefined, 'it ran');
      for (const { message, extensions } of results[0]?.errors ?? []) assert.equal(extensions?.code, code, message);
      assert.notEqual(results[0]?.errors?.length ?? 0, 0);
      answers.push(...results);
    }
    return answers;
  }

  it('depth: the deepest is taken, one more is not', async () => {
    const deepest = QUERY_LIMITS.depth - 2; // probeNest and depth are two.
    await assertTaken({ query: `{ probeNest ${nested(deepest)} }` });
    await assertRefused({ query: `{ probeNest ${nested(deepest + 1)} }` }, 'OPERATION_TOO_COMPLEX');
  });

  it('depth hidden in fragments counts', async () => {
    const fragments = Array.from(
      { length: 9 },
      (_, index) => `fragment F${index} on ProbeNest { deeper { deeper { ...F${index + 1} } } }`,
    );
    await assertRefused(
      { query: `{ probeNest { ...F0 } } ${fragments.join(' ')} fragment F9 on ProbeNest { depth }` },
      'OPERATION_TOO_COMPLEX',
    );
  });

  it('breadth: fields side by side', async () => {
    const wide = (pairs: number): string => `{ probeNest { ${'deeper { depth } '.repeat(pairs)} } }`;
    await assertTaken({ query: wide((QUERY_LIMITS.breadth - 2) / 2) });
    await assertRefused({ query: wide(QUERY_LIMITS.breadth / 2) }, 'OPERATION_TOO_COMPLEX');
  });

  it('complexity: what stands below a page counts once for each of its items', async () => {
    const query = 'query ($first: Int) { probeNest { list(first: $first) { list(first: 100) { depth } } } }';
    await assertTaken({ query, variables: { first: 100 } });
    await assertRefused({ query, variables: { first: 1_000 } }, 'OPERATION_TOO_COMPLEX');
  });

  it('complexity is that of the operation that runs, not of the first in the document', async () => {
    const query = `query Small { __typename }
      query Large { probeNest { list(first: 1000) { list(first: 1000) { depth } } } }`;
    await assertRefused({ query, operationName: 'Large' }, 'OPERATION_TOO_COMPLEX');
    await assertTaken({ query, operationName: 'Small' });
  });

  it('a subscription that is too complex does not begin', async () => {
    const query = 'subscription { probeForest { list(first: 1000) { list(first: 1000) { depth } } } }';
    await assertRefused({ query }, 'OPERATION_TOO_COMPLEX', ['sse', 'websocket']);
  });

  it('tokens', async () => {
    const fields = (count: number): string => `{ ${'__typename '.repeat(count)} }`;
    for (const { errors } of await assertRefused({ query: fields(DOCUMENT_TOKENS_MAX) }, 'OPERATION_TOO_COMPLEX')) {
      assert.match(String(errors?.[0]?.message), /more than \d+ tokens/);
    }
  });

  it('characters of a document, comments among them', async () => {
    const long = (length: number): string => `{ __typename } #${'x'.repeat(length - 16)}`;
    await assertTaken({ query: long(DOCUMENT_CHARACTERS_MAX) });
    await assertRefused({ query: long(DOCUMENT_CHARACTERS_MAX + 1) }, 'OPERATION_TOO_COMPLEX');
  });

  it('a long text in the variables is no long document', () =>
    assertTaken({
      query: 'query ($text: String!) { probeEcho(text: $text) }',
      variables: { text: 'x'.repeat(2 * DOCUMENT_CHARACTERS_MAX) },
    }));

  it('aliases: guesses cannot be multiplied in one document', async () => {
    const guesses = (count: number): string =>
      `mutation { ${Array.from({ length: count }, (_, index) => `guess${index}: probeEffect`).join(' ')} }`;
    await assertTaken({ query: guesses(ALIASES_MAX) });
    const before = probe.effects;
    await assertRefused({ query: guesses(ALIASES_MAX + 1) }, 'OPERATION_TOO_COMPLEX');
    assert.equal(probe.effects, before);
  });

  it('aliases in fragments count', async () => {
    const aliased = Array.from({ length: ALIASES_MAX + 1 }, (_, index) => `a${index}: __typename`).join(' ');
    await assertRefused({ query: `{ ...F } fragment F on Query { ${aliased} }` }, 'OPERATION_TOO_COMPLEX');
  });

  it('fields at the root, also by fragments', async () => {
    const fields = (count: number): string => '__typename '.repeat(count);
    await assertTaken({ query: `{ ${fields(ROOT_FIELDS_MAX)} }` });
    await assertRefused(
      { query: `{ ${fields(10)} ...F } fragment F on Query { ${fields(ROOT_FIELDS_MAX - 9)} }` },
      'OPERATION_TOO_COMPLEX',
    );
  });

  it('directives at one place', async () => {
    const query = (count: number): string => `{ __typename ${'@nothing '.repeat(count)} }`;
    const [result] = await ask('http', app.url, { query: query(DIRECTIVES_MAX + 1) });
    assert.ok(result?.errors?.some(({ extensions }) => extensions?.code === 'OPERATION_TOO_COMPLEX'));
  });

  it('a document with a thousand faults gets a bounded answer', async () => {
    const query = `{ ${Array.from({ length: 1_000 }, (_, index) => `nothing${index}`).join(' ')} }`;
    const [result] = await ask('http', app.url, { query });
    assert.ok((result?.errors?.length ?? 0) <= 101);
  });

  it('a cycle of fragments is refused', async () => {
    const query = '{ probeNest { ...A } } fragment A on ProbeNest { deeper { ...A } }';
    await assertRefused({ query }, 'GRAPHQL_VALIDATION_FAILED');
  });

  it('an operation that takes too long is given up, and what it waits for is told', async (t) => {
    // A server of its own: the others here must not be hurried on a busy machine.
    const hasty = await startProbedApp({ server: { operationMsMax: 100 } });
    t.after(() => hasty.close());
    for (const transport of TRANSPORTS) {
      const told = Promise.withResolvers<unknown>();
      probe.slow = (signal) => {
        assert.ok(signal instanceof AbortSignal, 'not a signal that AbortSignal.any takes');
        signal.addEventListener('abort', () => told.resolve(signal.reason), { once: true });
        return new Promise(() => {});
      };
      const [result] = await ask(transport, hasty.url, { query: '{ probeSlow }' });
      assert.equal(result?.errors?.[0]?.extensions?.code, 'UNAVAILABLE');
      assert.equal(result?.errors?.[0]?.extensions?.retryable, true);
      assert.match(String(await told.promise), /took too long/);
    }
  });

  it('the introspection of GraphiQL and of code generators is within the limits', () =>
    assertTaken({
      query: getIntrospectionQuery({
        specifiedByUrl: true,
        directiveIsRepeatable: true,
        schemaDescription: true,
        inputValueDeprecation: true,
        oneOf: true,
      }),
    }));
});

describe('introspection', () => {
  let app: TestApp;
  let token: string;
  before(async () => {
    app = await startProbedApp({ settings: { INTROSPECTION: 'false' } });
    token = (await registerUser(app)).token;
  });
  after(() => app.close());

  it('can be switched off, on every transport', async () => {
    for (const transport of TRANSPORTS) {
      for (const query of ['{ __schema { types { name } } }', '{ __type(name: "User") { fields { name } } }']) {
        const [result] = await ask(transport, app.url, { token, query });
        assert.equal(result?.data, undefined);
        assert.equal(result?.errors?.[0]?.extensions?.code, 'GRAPHQL_VALIDATION_FAILED');
      }
      const [result] = await ask(transport, app.url, { token, query: '{ __typename }' });
      assert.deepEqual(result?.data, { __typename: 'Query' });
    }
  });

  it('when it is off, no error tells the names that it hides', async () => {
    const guesses: readonly Ask[] = [
      { query: '{ probeEch(text: "x") }' },
      { query: '{ probeEcho(tex: "x") }' },
      { query: '{ node(id: "x") { ... on Use { id } } }' },
      { query: 'query ($input: RegisterInpu!) { __typename }' },
      { query: 'mutation { register(input: { usernam: "x" }) { __typename } }' },
      { query: 'mutation { broadcast(input: { message: "x", level: INF }) { __typename } }' },
      {
        query: 'mutation ($level: NoticeLevel) { broadcast(input: { message: "x", level: $level }) { __typename } }',
        variables: { level: 'INF' },
      },
      {
        query: 'mutation ($input: RegisterInput!) { register(input: $input) { __typename } }',
        variables: { input: { usernam: 'x' } },
      },
    ];
    for (const transport of TRANSPORTS) {
      for (const guess of guesses) {
        const [result] = await ask(transport, app.url, { token, ...guess });
        assert.notEqual(result?.errors, undefined, guess.query);
        assert.doesNotMatch(JSON.stringify(result), /did you mean|probeEcho"|RegisterInput"|"INFO"/i, guess.query);
      }
    }
  });
});
