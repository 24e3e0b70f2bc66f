import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core';
import type { Client as SocketClient } from 'graphql-ws';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type Person, registerUser } from '../support/people.ts';
import { rootOf } from '../support/uploads.ts';
import {
  CHILDREN,
  CREATE_FOLDER,
  makeFolders,
  socketClient,
  TRANSFER_UPDATED,
  type TransferView,
  UPLOAD_TEXT,
} from './documents.ts';

describe('urql', () => {
  let app: TestApp;
  let person: Person;
  let socket: SocketClient;
  /** Subscriptions by WebSocket, and by server-sent events. */
  let bySocket: Client;
  let byEvents: Client;

  before(async () => {
    app = await startTestApp();
    person = await registerUser(app);
    socket = socketClient(app, person);
    const common = {
      url: `${app.url}/graphql`,
      fetchOptions: { headers: { authorization: `Bearer ${person.token}` } },
      preferGetMethod: false,
    } as const;
    bySocket = new Client({
      ...common,
      exchanges: [
        cacheExchange,
        fetchExchange,
        subscriptionExchange({
          forwardSubscription: ({ query = '', variables }) => ({
            subscribe: (sink) => ({
              unsubscribe: socket.subscribe(
                { query, variables: variables as Record<string, unknown> },
                {
                  next: (result) => sink.next(result as never),
                  error: (error) => sink.error(error),
                  complete: () => sink.complete(),
                },
              ),
            }),
          }),
        }),
      ],
    });
    byEvents = new Client({ ...common, fetchSubscriptions: true, exchanges: [cacheExchange, fetchExchange] });
  });
  after(async () => {
    await socket.dispose();
    await app.close();
  });

  it('pages through a folder', async () => {
    await makeFolders(app, person, ['a', 'b', 'c', 'd', 'e']);
    const names: string[] = [];
    let after: string | null = null;
    do {
      const variables: object = { id: rootOf(person).id, first: 2, after };
      const { data, error } = await bySocket.query(CHILDREN, variables).toPromise();
      assert.equal(error, undefined);
      const { edges, pageInfo } = data.node.children;
      assert.ok(edges.length <= 2);
      assert.equal(pageInfo.hasPreviousPage, after !== null);
      assert.equal(pageInfo.endCursor, edges.at(-1).cursor);
      names.push(...edges.map(({ node }: { node: { name: string } }) => node.name));
      after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
    } while (after);
    assert.deepEqual(names, ['a', 'b', 'c', 'd', 'e']);
  });

  it('asks again for a list that a mutation changed', async () => {
    const variables = { id: rootOf(person).id, first: 100 };
    const before = await bySocket.query(CHILDREN, variables).toPromise();
    const made = await bySocket.mutation(CREATE_FOLDER, { input: { parent: rootOf(person), name: 'new' } }).toPromise();
    assert.equal(made.data.createFolder.folder.name, 'new');
    const later = await bySocket.query(CHILDREN, variables).toPromise();
    assert.equal(later.data.node.children.edges.length, before.data.node.children.edges.length + 1);
  });

  it('gets an error of input as data, and one of rights as an error', async () => {
    const input = { parent: rootOf(person), name: 'a/b' };
    const refused = await bySocket.mutation(CREATE_FOLDER, { input }).toPromise();
    assert.equal(refused.error, undefined);
    assert.equal(refused.data.createFolder.code, 'INVALID_INPUT');
    assert.deepEqual(refused.data.createFolder.issues[0].path, ['input', 'name']);

    const nobody = new Client({ url: `${app.url}/graphql`, exchanges: [fetchExchange], preferGetMethod: false });
    const { error } = await nobody.mutation(CREATE_FOLDER, { input }).toPromise();
    assert.equal(error?.graphQLErrors[0]?.extensions.code, 'UNAUTHENTICATED');
  });

  for (const [how, client] of [
    ['a WebSocket', () => bySocket],
    ['server-sent events', () => byEvents],
  ] as const) {
    it(`watches a transfer to its end by ${how}`, async () => {
      const input = { parent: rootOf(person), name: `by ${how}.txt`, content: 'Hello, urql!' };
      const started = await client().mutation(UPLOAD_TEXT, { input }).toPromise();
      const { id } = started.data.uploadText.transfer;
      const last = await new Promise<TransferView>((resolve, reject) => {
        client()
          .subscription<{ transferUpdated: TransferView }>(TRANSFER_UPDATED, { id })
          .subscribe(({ data, error }) => {
            if (error) reject(error);
            else if (data?.transferUpdated.entry) resolve(data.transferUpdated);
          });
      });
      assert.equal(last.state, 'SUCCEEDED');
      assert.equal(last.entry?.name, input.name);
    });
  }
});
