/* Fragments as a Relay app writes them: its compiler takes them only from a schema that keeps Relay's rules. */
graphql`
  fragment app_folder on Folder
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" })
  @refetchable(queryName: "appFolderPageQuery") {
    id
    name
    children(first: $count, after: $cursor) @connection(key: "app_folder_children") {
      edges {
        node {
          id
          name
          size
        }
      }
    }
  }
`;

graphql`
  fragment app_accounts on User
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" })
  @refetchable(queryName: "appAccountsPageQuery") {
    accounts(first: $count, after: $cursor) @connection(key: "app_accounts_accounts") {
      edges {
        node {
          id
          label
        }
      }
    }
  }
`;

graphql`
  query appQuery($folder: ID!) {
    viewer {
      displayName
      ...app_accounts
    }
    node(id: $folder) {
      ... on Folder {
        ...app_folder @alias
      }
    }
  }
`;

graphql`
  mutation appCreateFolderMutation($input: CreateFolderInput!) {
    createFolder(input: $input) {
      __typename
      ... on CreateFolderPayload {
        folder {
          id
          name
        }
      }
      ... on UserError {
        code
        message
      }
    }
  }
`;

graphql`
  subscription appTransfersSubscription {
    transferEvents {
      cursor
      transfer {
        id
        state
        bytesDone
      }
    }
  }
`;
