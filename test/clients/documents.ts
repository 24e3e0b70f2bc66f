import assert from 'node:assert/strict';
import { createClient, type Client as SocketClient } from 'graphql-ws';
import type { TestApp } from '../support/app.ts';
import type { Person } from '../support/people.ts';
import { rootOf } from '../support/uploads.ts';

/** What the clients are asked to do, each in its own way. */
export const CHILDREN = `query Children($id: ID!, $first: Int!, $after: String) {
  node(id: $id) {
    __typename
    id
    ... on Folder {
      children(first: $first, after: $after) {
        edges { cursor node { __typename id name } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        totalCount
      }
    }
  }
}`;

export const CREATE_FOLDER = `mutation CreateFolder($input: CreateFolderInput!) {
  createFolder(input: $input) {
    __typename
    ... on CreateFolderPayload { folder { id name } }
    ... on UserError { code message retryable }
    ... on InvalidInputError { issues { path message } }
  }
}`;

export const UPLOAD_TEXT = `mutation UploadText($input: UploadTextInput!) {
  uploadText(input: $input) {
    __typename
    ... on UploadTextPayload { transfer { id state } }
    ... on UserError { code message }
  }
}`;

export const TRANSFER_UPDATED = `subscription TransferUpdated($id: ID!) {
  transferUpdated(id: $id) { id state bytesDone entry { id name } }
}`;

export interface TransferView {
  readonly id: string;
  readonly state: string;
  readonly bytesDone: number;
  readonly entry: { readonly id: string; readonly name: string } | null;
}

/** Folders `a`, `b`, … at the root. */
export async function makeFolders(app: TestApp, person: Person, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { data, errors } = await app.graphql(
      CREATE_FOLDER,
      { input: { parent: rootOf(person), name } },
      person.token,
    );
    assert.equal(data?.createFolder.__typename, 'CreateFolderPayload', JSON.stringify(errors ?? data));
  }
}

/** The reference client of the WebSocket protocol, which the others build on. */
export const socketClient = (app: TestApp, { token }: Person): SocketClient =>
  createClient({
    url: `${app.url.replace('http', 'ws')}/graphql`,
    connectionParams: { authorization: `Bearer ${token}` },
  });
