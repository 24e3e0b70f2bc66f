import { graphql } from './generated/gql.ts';

export const Register = graphql(`
  mutation Register($input: RegisterInput!) {
    register(input: $input) {
      __typename
      ... on RegisterPayload {
        user { id username }
        session { accessToken accessTokenExpiresAt refreshToken }
      }
      ... on InvalidInputError {
        issues { path message }
      }
      ... on UserError {
        code
        message
      }
    }
  }
`);

export const Drives = graphql(`
  query Drives($first: Int, $after: String) {
    viewer {
      displayName
      downloadAllowance { limit remaining resetsAt }
      accounts(first: $first, after: $after) {
        nodes {
          id
          label
          provider
          status
          abilities
          storage { usedBytes totalBytes }
          root { id }
        }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`);

export const FolderPage = graphql(`
  query FolderPage($id: ID!, $first: Int, $after: String) {
    node(id: $id) {
      __typename
      ... on Folder {
        name
        children(first: $first, after: $after, orderBy: { by: NAME, direction: ASC }) {
          nodes {
            __typename
            id
            name
            size
            modifiedAt
            ... on File { mimeType category }
          }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
  }
`);

export const StartUpload = graphql(`
  mutation StartUpload($input: StartUploadInput!) {
    startUpload(input: $input) {
      __typename
      ... on StartUploadPayload {
        transfer { ...TransferProgress }
        uploadUrl
        chunkSize
        expiresAt
      }
      ... on AlreadyExistsError {
        existing { id name }
      }
      ... on UserError {
        code
        message
        retryable
        retryAt
      }
    }
  }
`);

export const TransferProgress = graphql(`
  fragment TransferProgress on Transfer {
    id
    name
    state
    phase
    bytesDone
    bytesTotal
    error { code message }
    entry { id name }
  }
`);

export const TransferEvents = graphql(`
  subscription TransferEvents($after: String) {
    transferEvents(after: $after) {
      cursor
      transfer { ...TransferProgress }
    }
  }
`);
