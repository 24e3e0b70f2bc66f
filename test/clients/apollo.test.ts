import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { relayStylePagination } from '@apollo/client/utilities';
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

interface Children {
  readonly node: {
    readonly children: {
      readonly edges: readonly { readonly node: { readonly id: string; readonly name: string } }[];
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
    };
  };
}

describe('Apollo Client', () => {
  let app: TestApp;
  let person: Person;
  let socket: SocketClient;
  let client: ApolloClient;

  before(async () => {
    app = await startTestApp();
    person = await registerUser(app);
    socket = socketClient(app, person);
    const uri = `${app.url}/graphql`;
    client = new ApolloClient({
      link: ApolloLink.split(
        ({ operationType }) => operationType === 'subscription',
        new GraphQLWsLink(socket),
        new HttpLink({ uri, headers: { authorization: `Bearer ${person.token}` } }),
      ),
      cache: new InMemoryCache({
        possibleTypes: await possibleTypes(app, person),
        typePolicies: { Folder: { fields: { children: relayStylePagination(['kind', 'orderBy']) } } },
      }),
    });
  });
  after(async () => {
    client.stop();
    await socket.dispose();
    await app.close();
  });

  it('joins the pages of a folder in its cache', async () => {
    await makeFolders(app, person, ['a', 'b', 'c', 'd', 'e']);
    const asked = { query: gql(CHILDREN), variables: { id: rootOf(person).id, first: 2 } };
    const first = await client.query<Children>(asked);
    const watched = client.watchQuery<Children>(asked);
    const watching = watched.subscribe(() => {});
    let page = first.data?.node.children.pageInfo;
    while (page?.hasNextPage) {
      const { data } = await watched.fetchMore({ variables: { after: page.endCursor } });
      page = data?.node.children.pageInfo;
    }
    watching.unsubscribe();
    const joined = client.readQuery<Children>(asked);
    assert.deepEqual(
      joined?.node.children.edges.map(({ node }) => node.name),
      ['a', 'b', 'c', 'd', 'e'],
    );
  });

  it('knows an object of one answer again in another', async () => {
    const [folder] = await names('Folder');
    assert.ok(folder?.id);
    const query = gql('query Name($id: ID!) { node(id: $id) { id ... on Folder { name } } }');
    const { data } = await client.query({ query, variables: { id: folder.id } });
    assert.deepEqual(data, { node: { __typename: 'Folder', id: folder.id, name: folder.name } });
    assert.equal(client.cache.identify({ __typename: 'Folder', id: folder.id }), `Folder:${folder.id}`);
  });

  it('reads what is common to all errors by their interface', async () => {
    const { data } = await client.mutate<{ createFolder: Record<string, unknown> }>({
      mutation: gql(CREATE_FOLDER),
      variables: { input: { parent: rootOf(person), name: 'a' } },
    });
    assert.equal(data?.createFolder.__typename, 'AlreadyExistsError');
    assert.equal(data?.createFolder.code, 'ALREADY_EXISTS');
    assert.equal(data?.createFolder.retryable, false);
  });

  it('tells an error of the whole operation by its code', async () => {
    const nobody = new ApolloClient({ link: new HttpLink({ uri: `${app.url}/graphql` }), cache: new InMemoryCache() });
    const asked = nobody.query({ query: gql(CHILDREN), variables: { id: 'x', first: 1 } });
    await assert.rejects(asked, (error) => {
      assert.ok(CombinedGraphQLErrors.is(error));
      return error.errors[0]?.extensions?.code === 'UNAUTHENTICATED';
    });
    nobody.stop();
  });

  it('watches a transfer to its end, and has its last state in the cache', async () => {
    const { data } = await client.mutate<{ uploadText: { transfer: { id: string } } }>({
      mutation: gql(UPLOAD_TEXT),
      variables: { input: { parent: rootOf(person), name: 'apollo.txt', content: 'Hello, Apollo!' } },
    });
    const id = data?.uploadText.transfer.id ?? assert.fail();
    const seen: TransferView[] = [];
    await new Promise<void>((resolve, reject) => {
      client
        .subscribe<{ transferUpdated: TransferView }>({ query: gql(TRANSFER_UPDATED), variables: { id } })
        .subscribe({
          next: ({ data, error }) => {
            if (error) reject(error);
            if (data) seen.push(data.transferUpdated);
          },
          error: reject,
          complete: resolve,
        });
    });
    assert.deepEqual([seen.at(-1)?.state, seen.at(-1)?.entry?.name], ['SUCCEEDED', 'apollo.txt']);
    const fragment = gql('fragment State on Transfer { id state }');
    assert.equal(client.cache.readFragment<TransferView>({ id: `Transfer:${id}`, fragment })?.state, 'SUCCEEDED');
  });

  async function names(typename: string): Promise<{ id: string; name: string }[]> {
    const cached = Object.values(client.cache.extract() as Record<string, Record<string, string>>);
    return cached.flatMap(({ __typename, id = '', name }) => (__typename === typename && name ? [{ id, name }] : []));
  }
});

/** Which types stand behind an interface or union, as an app asks when it is built. */
async function possibleTypes(app: TestApp, person: Person): Promise<Record<string, string[]>> {
  const { data } = await app.graphql('{ __schema { types { name possibleTypes { name } } } }', {}, person.token);
  const types = data.__schema.types as { name: string; possibleTypes: { name: string }[] | null }[];
  return Object.fromEntries(
    types.flatMap(({ name, possibleTypes }) => (possibleTypes ? [[name, possibleTypes.map((type) => type.name)]] : [])),
  );
}
