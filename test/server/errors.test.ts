import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { ERROR_CODES } from '../../src/graph/errors.ts';
import type { TestApp } from '../support/app.ts';
import { registerUser } from '../support/people.ts';
import { CANARY, startProbedApp } from '../support/probe-app.ts';
import { type Ask, ask, type Result, TRANSPORTS } from '../support/transports.ts';

const CODES: ReadonlySet<unknown> = new Set(ERROR_CODES);

function assertCoded(results: readonly Result[], code: string): void {
  const errors = results.flatMap((result) => result.errors ?? []);
  assert.notEqual(errors.length, 0, 'there is no error');
  for (const error of errors) {
    assert.ok(CODES.has(error.extensions?.code), `not in the list of codes: ${JSON.stringify(error)}`);
    assert.equal(error.extensions?.code, code, error.message);
    assert.deepEqual(
      Object.keys(error).filter((key) => !['message', 'path', 'locations', 'extensions'].includes(key)),
      [],
    );
  }
}

describe('errors towards clients', () => {
  let app: TestApp;
  let token: string;
  before(async () => {
    app = await startProbedApp();
    token = (await registerUser(app)).token;
  });
  after(() => app.close());

  const askAll = (operation: Ask) =>
    Promise.all(TRANSPORTS.map((transport) => ask(transport, app.url, { token, ...operation })));

  /** What each transport answers must be the same, and coded so. */
  async function assertSame(operation: Ask, code: string): Promise<readonly Result[]> {
    const [http, sse, websocket] = await askAll(operation);
    assertCoded(http ?? [], code);
    assert.deepEqual(sse, http);
    assert.deepEqual(
      websocket?.map(({ errors }) => errors),
      http?.map(({ errors }) => errors),
    );
    assert.ok(!JSON.stringify([http, sse, websocket]).includes(CANARY), 'the answer holds the secret');
    return http ?? [];
  }

  describe('thrown in a resolver', () => {
    const faults = [
      ['secret', 'INTERNAL_SERVER_ERROR'],
      ['wrapped', 'INTERNAL_SERVER_ERROR'],
      ['text', 'INTERNAL_SERVER_ERROR'],
      ['aborted', 'INTERNAL_SERVER_ERROR'],
      ['timeout', 'INTERNAL_SERVER_ERROR'],
      ['notFound', 'NOT_FOUND'],
      ['behindCause', 'NOT_FOUND'],
      ['limited', 'RATE_LIMITED'],
      ['provider', 'PROVIDER_FAILED'],
    ] as const;
    for (const [kind, code] of faults) {
      it(`${kind}: the same ${code} on every transport, and no secret`, async () => {
        const query = 'query ($kind: String!) { probeFault(kind: $kind) }';
        const [result] = await assertSame({ query, variables: { kind } }, code);
        assert.deepEqual(result?.data, { probeFault: null });
        assert.deepEqual(result?.errors?.[0]?.path, ['probeFault']);
      });
    }

    it('what is hidden from the client is in the log', async () => {
      await ask('http', app.url, { query: '{ probeFault(kind: "secret") }' });
      assert.ok(app.logLines.some((line) => line.includes('unexpected error in a resolver') && line.includes(CANARY)));
    });

    it('a provider error says what its caller can use', async () => {
      const [result] = await ask('http', app.url, { query: '{ probeFault(kind: "provider") }' });
      assert.deepEqual(result?.errors?.[0]?.extensions, {
        code: 'PROVIDER_FAILED',
        retryable: false,
        retryAt: null,
        provider: 'LOCAL',
        providerCode: '42',
        hint: 'Look.',
      });
    });

    it('a value that does not fit its type is a bug of ours, not an error of the input', async () => {
      await assertSame({ query: '{ probeUnfit }' }, 'INTERNAL_SERVER_ERROR');
    });

    it('null where none may be is a bug of ours', async () => {
      await assertSame({ query: '{ probeMissing }' }, 'INTERNAL_SERVER_ERROR');
    });

    it('one failing field leaves the others whole', async () => {
      const [result] = await ask('http', app.url, { query: '{ probeFault(kind: "secret") probeEcho(text: "abc") }' });
      assert.deepEqual(result?.data, { probeFault: null, probeEcho: '3' });
    });
  });

  describe('found before anything runs', () => {
    const faults: readonly (readonly [string, Ask, string])[] = [
      ['a syntax error', { query: '{' }, 'GRAPHQL_PARSE_FAILED'],
      ['a syntax error, again from the cache', { query: '{' }, 'GRAPHQL_PARSE_FAILED'],
      ['an empty document', { query: '' }, 'GRAPHQL_PARSE_FAILED'],
      ['an unknown field', { query: '{ nothing }' }, 'GRAPHQL_VALIDATION_FAILED'],
      ['an unknown field, again from the cache', { query: '{ nothing }' }, 'GRAPHQL_VALIDATION_FAILED'],
      ['a literal of the wrong type', { query: '{ probeEcho(text: 5) }' }, 'GRAPHQL_VALIDATION_FAILED'],
      ['a literal that its scalar refuses', { query: '{ probeMoment(at: "yesterday") }' }, 'BAD_USER_INPUT'],
      ['a missing variable', { query: 'query ($kind: String!) { probeFault(kind: $kind) }' }, 'BAD_USER_INPUT'],
      [
        'a variable of the wrong type',
        { query: 'query ($at: DateTime!) { probeMoment(at: $at) }', variables: { at: 5 } },
        'BAD_USER_INPUT',
      ],
      [
        'a byte count below zero',
        {
          query: 'query ($bytes: ByteCount) { probeMoment(at: "2026-11-20T08:30:00Z", bytes: $bytes) }',
          variables: { bytes: -1 },
        },
        'BAD_USER_INPUT',
      ],
      [
        'an unknown operation',
        { query: 'query One { __typename }', operationName: 'Two' },
        'OPERATION_RESOLUTION_FAILURE',
      ],
      [
        'two operations and no name',
        { query: 'query A { __typename } query B { __typename }' },
        'OPERATION_RESOLUTION_FAILURE',
      ],
      ['nobody signed in', { query: '{ probePrivate }', token: null }, 'UNAUTHENTICATED'],
    ];
    it('an input of the wrong shape is not repeated: it may hold a password', async () => {
      const query = 'mutation ($input: LoginInput!) { login(input: $input) { __typename } }';
      for (const input of [{ username: 'x', password: CANARY, z: 1 }, { usernme: 'x', password: CANARY }, [CANARY]]) {
        const [result] = await assertSame({ query, variables: { input } }, 'BAD_USER_INPUT');
        assert.match(result?.errors?.[0]?.message ?? '', /^Expected value of type "LoginInput" .*[.?]$/);
      }
    });

    for (const [name, operation, code] of faults) {
      it(`${name}: ${code}`, async () => {
        const results = await askAll(operation);
        for (const result of results) assertCoded(result, code);
        assert.ok(!JSON.stringify(results).includes(CANARY));
      });
    }
  });

  describe('of a subscription that does not begin', () => {
    const faults: readonly (readonly [string, Ask, string])[] = [
      ['a subscription of nobody', { query: 'subscription { probeTicks }', token: null }, 'UNAUTHENTICATED'],
      ['one that throws', { query: 'subscription { probeRefused(kind: "secret") }' }, 'INTERNAL_SERVER_ERROR'],
      ['one that is refused', { query: 'subscription { probeRefused(kind: "notFound") }' }, 'NOT_FOUND'],
      [
        'a missing variable',
        { query: 'subscription ($kind: String!) { probeRefused(kind: $kind) }' },
        'BAD_USER_INPUT',
      ],
    ];
    for (const [name, operation, code] of faults) {
      it(`${name}: ${code}`, async () => {
        const sse = await ask('sse', app.url, { token, ...operation });
        const websocket = await ask('websocket', app.url, { token, ...operation });
        assertCoded(sse, code);
        assert.deepEqual(websocket, sse);
        assert.ok(!JSON.stringify(sse).includes(CANARY));
      });
    }

    it('one that breaks later tells so as its last result', async () => {
      for (const transport of ['sse', 'websocket'] as const) {
        const results = await ask(transport, app.url, { token, query: 'subscription { probeBroken }' });
        assert.deepEqual(results[0], { data: { probeBroken: 1 } });
        assertCoded(results.slice(1), 'INTERNAL_SERVER_ERROR');
        assert.ok(!JSON.stringify(results).includes(CANARY));
      }
    });
  });

  describe('requests that are not GraphQL over HTTP', () => {
    interface Wrong {
      readonly method?: string;
      readonly path?: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly status: number;
      readonly code?: string;
    }
    const json = { 'content-type': 'application/json' };
    const wrong: Readonly<Record<string, Wrong>> = {
      'a method that is none': { method: 'PUT', headers: json, body: '{"query":"{ __typename }"}', status: 405 },
      'DELETE without a body': { method: 'DELETE', status: 405 },
      'a mutation by GET': { method: 'GET', path: '/graphql?query=mutation%7BprobeEffect%7D', status: 405 },
      'variables by GET that are no JSON': {
        method: 'GET',
        path: '/graphql?query=%7B__typename%7D&variables=x',
        status: 400,
      },
      'extensions by GET that are no JSON': {
        method: 'GET',
        path: '/graphql?query=%7B__typename%7D&extensions=x',
        status: 400,
      },
      'GET without a query': { method: 'GET', headers: { accept: 'application/json' }, path: '/graphql', status: 400 },
      'a URL-encoded form': {
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: 'query=%7B__typename%7D',
        status: 415,
      },
      'a URL-encoded form, in capitals': {
        headers: { 'content-type': 'APPLICATION/X-WWW-FORM-URLENCODED;charset=utf-8' },
        body: 'query=mutation%7BprobeEffect%7D',
        status: 415,
      },
      'plain text': { headers: { 'content-type': 'text/plain' }, body: '{"query":"{ __typename }"}', status: 415 },
      'a form with files and no token': {
        headers: { 'content-type': 'multipart/form-data; boundary=x' },
        body: '--x--',
        status: 401,
        code: 'UNAUTHENTICATED',
      },
      'a form that is broken': {
        headers: { 'content-type': 'multipart/form-data; boundary=x', authorization: 'Bearer y' },
        body: 'no parts',
        status: 400,
      },
      'a form without operations': {
        headers: { 'content-type': 'multipart/form-data; boundary=x', authorization: 'Bearer y' },
        body: '--x\r\ncontent-disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n',
        status: 400,
      },
      'no JSON': { headers: json, body: '{"query"', status: 400 },
      'JSON null': { headers: json, body: 'null', status: 400 },
      'a JSON string': { headers: json, body: '"{ __typename }"', status: 400 },
      'a batch': { headers: json, body: '[{"query":"{ __typename }"}]', status: 400 },
      'a query that is a number': { headers: json, body: '{"query":5}', status: 400 },
      'variables that are a list': { headers: json, body: '{"query":"{ __typename }","variables":[]}', status: 400 },
      'an unknown parameter': { headers: json, body: '{"query":"{ __typename }","more":1}', status: 400 },
      'an empty body': { headers: json, body: '', status: 400 },
      'nothing that can be accepted': {
        headers: { ...json, accept: 'image/png' },
        body: '{"query":"{ __typename }"}',
        status: 406,
      },
      'a subscription without event streams': {
        headers: { ...json, accept: 'application/json' },
        body: '{"query":"subscription { probeTicks }"}',
        status: 406,
      },
      'a Host header that is none': {
        headers: { ...json, host: 'a b' },
        body: '{"query":"{ __typename }"}',
        status: 400,
      },
    };
    for (const [name, { status, code = 'BAD_REQUEST', ...send }] of Object.entries(wrong)) {
      it(`${name}: ${status}`, async () => {
        const answer = await exchange(app.url, send);
        assert.equal(answer.status, status, answer.body);
        assertCoded([JSON.parse(answer.body) as Result], code);
        assert.doesNotMatch(answer.body, /node_modules|\.[jt]s:\d/, 'a stack is shown');
      });
    }

    it('none of them had an effect', async () => {
      const [result] = await ask('http', app.url, { query: 'mutation { probeEffect }' });
      assert.deepEqual(result?.data, { probeEffect: 1 });
    });
  });
});

interface Exchange {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** By `node:http`, which sends what `fetch` would mend. */
function exchange(url: string, { method = 'POST', path = '/graphql', headers = {}, body }: Exchange) {
  return new Promise<{ readonly status: number; readonly body: string }>((resolve, reject) => {
    const sent = request(`${url}${path}`, { method, headers, agent: false }, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ status: response.statusCode ?? 0, body: text });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
