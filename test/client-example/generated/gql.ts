/* eslint-disable */
import * as types from './graphql.ts';



/**
 * Map of all GraphQL operations in the project.
 *
 * This map has several performance disadvantages:
 * 1. It is not tree-shakeable, so it will include all operations in the project.
 * 2. It is not minifiable, so the string of a GraphQL query will be multiple times inside the bundle.
 * 3. It does not support dead code elimination, so it will add unused operations.
 *
 * Therefore it is highly recommended to use the babel or swc plugin for production.
 * Learn more about it here: https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#reducing-bundle-size
 */
type Documents = {
    "\n  mutation Register($input: RegisterInput!) {\n    register(input: $input) {\n      __typename\n      ... on RegisterPayload {\n        user { id username }\n        session { accessToken accessTokenExpiresAt refreshToken }\n      }\n      ... on InvalidInputError {\n        issues { path message }\n      }\n      ... on UserError {\n        code\n        message\n      }\n    }\n  }\n": typeof types.RegisterDocument,
    "\n  query Drives($first: Int, $after: String) {\n    viewer {\n      displayName\n      downloadAllowance { limit remaining resetsAt }\n      accounts(first: $first, after: $after) {\n        nodes {\n          id\n          label\n          provider\n          status\n          abilities\n          storage { usedBytes totalBytes }\n          root { id }\n        }\n        pageInfo { hasNextPage endCursor }\n      }\n    }\n  }\n": typeof types.DrivesDocument,
    "\n  query FolderPage($id: ID!, $first: Int, $after: String) {\n    node(id: $id) {\n      __typename\n      ... on Folder {\n        name\n        children(first: $first, after: $after, orderBy: { by: NAME, direction: ASC }) {\n          nodes {\n            __typename\n            id\n            name\n            size\n            modifiedAt\n            ... on File { mimeType category }\n          }\n          pageInfo { hasNextPage endCursor }\n        }\n      }\n    }\n  }\n": typeof types.FolderPageDocument,
    "\n  mutation StartUpload($input: StartUploadInput!) {\n    startUpload(input: $input) {\n      __typename\n      ... on StartUploadPayload {\n        transfer { ...TransferProgress }\n        uploadUrl\n        chunkSize\n        expiresAt\n      }\n      ... on AlreadyExistsError {\n        existing { id name }\n      }\n      ... on UserError {\n        code\n        message\n        retryable\n        retryAt\n      }\n    }\n  }\n": typeof types.StartUploadDocument,
    "\n  fragment TransferProgress on Transfer {\n    id\n    name\n    state\n    phase\n    bytesDone\n    bytesTotal\n    error { code message }\n    entry { id name }\n  }\n": typeof types.TransferProgressFragmentDoc,
    "\n  subscription TransferEvents($after: String) {\n    transferEvents(after: $after) {\n      cursor\n      transfer { ...TransferProgress }\n    }\n  }\n": typeof types.TransferEventsDocument,
};
const documents: Documents = {
    "\n  mutation Register($input: RegisterInput!) {\n    register(input: $input) {\n      __typename\n      ... on RegisterPayload {\n        user { id username }\n        session { accessToken accessTokenExpiresAt refreshToken }\n      }\n      ... on InvalidInputError {\n        issues { path message }\n      }\n      ... on UserError {\n        code\n        message\n      }\n    }\n  }\n": types.RegisterDocument,
    "\n  query Drives($first: Int, $after: String) {\n    viewer {\n      displayName\n      downloadAllowance { limit remaining resetsAt }\n      accounts(first: $first, after: $after) {\n        nodes {\n          id\n          label\n          provider\n          status\n          abilities\n          storage { usedBytes totalBytes }\n          root { id }\n        }\n        pageInfo { hasNextPage endCursor }\n      }\n    }\n  }\n": types.DrivesDocument,
    "\n  query FolderPage($id: ID!, $first: Int, $after: String) {\n    node(id: $id) {\n      __typename\n      ... on Folder {\n        name\n        children(first: $first, after: $after, orderBy: { by: NAME, direction: ASC }) {\n          nodes {\n            __typename\n            id\n            name\n            size\n            modifiedAt\n            ... on File { mimeType category }\n          }\n          pageInfo { hasNextPage endCursor }\n        }\n      }\n    }\n  }\n": types.FolderPageDocument,
    "\n  mutation StartUpload($input: StartUploadInput!) {\n    startUpload(input: $input) {\n      __typename\n      ... on StartUploadPayload {\n        transfer { ...TransferProgress }\n        uploadUrl\n        chunkSize\n        expiresAt\n      }\n      ... on AlreadyExistsError {\n        existing { id name }\n      }\n      ... on UserError {\n        code\n        message\n        retryable\n        retryAt\n      }\n    }\n  }\n": types.StartUploadDocument,
    "\n  fragment TransferProgress on Transfer {\n    id\n    name\n    state\n    phase\n    bytesDone\n    bytesTotal\n    error { code message }\n    entry { id name }\n  }\n": types.TransferProgressFragmentDoc,
    "\n  subscription TransferEvents($after: String) {\n    transferEvents(after: $after) {\n      cursor\n      transfer { ...TransferProgress }\n    }\n  }\n": types.TransferEventsDocument,
};

/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation Register($input: RegisterInput!) {\n    register(input: $input) {\n      __typename\n      ... on RegisterPayload {\n        user { id username }\n        session { accessToken accessTokenExpiresAt refreshToken }\n      }\n      ... on InvalidInputError {\n        issues { path message }\n      }\n      ... on UserError {\n        code\n        message\n      }\n    }\n  }\n"): typeof import('./graphql.ts').RegisterDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query Drives($first: Int, $after: String) {\n    viewer {\n      displayName\n      downloadAllowance { limit remaining resetsAt }\n      accounts(first: $first, after: $after) {\n        nodes {\n          id\n          label\n          provider\n          status\n          abilities\n          storage { usedBytes totalBytes }\n          root { id }\n        }\n        pageInfo { hasNextPage endCursor }\n      }\n    }\n  }\n"): typeof import('./graphql.ts').DrivesDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  query FolderPage($id: ID!, $first: Int, $after: String) {\n    node(id: $id) {\n      __typename\n      ... on Folder {\n        name\n        children(first: $first, after: $after, orderBy: { by: NAME, direction: ASC }) {\n          nodes {\n            __typename\n            id\n            name\n            size\n            modifiedAt\n            ... on File { mimeType category }\n          }\n          pageInfo { hasNextPage endCursor }\n        }\n      }\n    }\n  }\n"): typeof import('./graphql.ts').FolderPageDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  mutation StartUpload($input: StartUploadInput!) {\n    startUpload(input: $input) {\n      __typename\n      ... on StartUploadPayload {\n        transfer { ...TransferProgress }\n        uploadUrl\n        chunkSize\n        expiresAt\n      }\n      ... on AlreadyExistsError {\n        existing { id name }\n      }\n      ... on UserError {\n        code\n        message\n        retryable\n        retryAt\n      }\n    }\n  }\n"): typeof import('./graphql.ts').StartUploadDocument;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  fragment TransferProgress on Transfer {\n    id\n    name\n    state\n    phase\n    bytesDone\n    bytesTotal\n    error { code message }\n    entry { id name }\n  }\n"): typeof import('./graphql.ts').TransferProgressFragmentDoc;
/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "\n  subscription TransferEvents($after: String) {\n    transferEvents(after: $after) {\n      cursor\n      transfer { ...TransferProgress }\n    }\n  }\n"): typeof import('./graphql.ts').TransferEventsDocument;


export function graphql(source: string) {
  return (documents as any)[source] ?? {};
}
