/** One tab of GraphiQL: its operation, and what to send with it. */
export interface Tab {
  readonly query: string;
  readonly variables?: string;
  readonly headers: string;
}

/** The page puts the session's token in its place (page.js); a token written here by hand is sent as it is. */
const HEADERS = JSON.stringify({ Authorization: 'Bearer <accessToken>' }, null, 2);

/** The page puts the root of the first drive in its place. */
const FOLDER = '<id of a folder>';

const json = (value: object): string => JSON.stringify(value, null, 2);

/** What a new user opens first. A test holds each against the schema. */
export const DEFAULT_TABS: readonly Tab[] = [
  {
    query: `# Welcome to PanQL!
#
# 1. Choose a name and a password below, then press
#    the play button. The first user of a server is
#    its administrator.
# 2. Go on with the tabs from left to right.
#
# This page adds your session to each request. Your
# own app sends it as a header: see "Headers" below.

mutation Register($input: RegisterInput!) {
  register(input: $input) {
    ... on RegisterPayload {
      user { id username role }
      session {
        accessToken
        accessTokenExpiresAt
        refreshToken
      }
    }
    ... on UserError { code message }
  }
}
`,
    variables: json({ input: { username: 'alice', password: 'correct horse battery staple' } }),
    headers: HEADERS,
  },
  {
    query: `mutation SignIn($input: LoginInput!) {
  login(input: $input) {
    ... on LoginPayload {
      user { id username role }
      session {
        accessToken
        accessTokenExpiresAt
        refreshToken
      }
    }
    ... on UserError { code message }
  }
}
`,
    variables: json({ input: { username: 'alice', password: 'correct horse battery staple' } }),
    headers: HEADERS,
  },
  {
    query: `# Your drives, and what lies in the root of each.
query Files {
  viewer {
    displayName
    accounts {
      nodes {
        id
        label
        provider
        status
        root {
          id
          children(first: 20) {
            nodes {
              id
              name
              size
              modifiedAt
            }
            pageInfo { hasNextPage endCursor }
          }
        }
      }
    }
  }
}
`,
    headers: HEADERS,
  },
  {
    query: `# This page puts the root of your built-in drive into
# the variables, unless you write the id of another
# folder, from the tab "Files". Then send the bytes to
# \`uploadUrl\` by any client of tus 1.0, or by curl:
#
# printf 'Hello, cloud!' | curl -X PATCH <uploadUrl> \\
#   -H 'Tus-Resumable: 1.0.0' \\
#   -H 'Upload-Offset: 0' \\
#   -H 'Content-Type: application/offset+octet-stream' \\
#   --data-binary @-

mutation Upload($input: StartUploadInput!) {
  startUpload(input: $input) {
    ... on StartUploadPayload {
      transfer { id state }
      uploadUrl
      chunkSize
      expiresAt
    }
    ... on UserError { code message }
  }
}
`,
    variables: json({ input: { parent: { id: FOLDER }, name: 'hello.txt', size: 13 } }),
    headers: HEADERS,
  },
  {
    query: `# All your transfers, live. Leave it running, and
# upload from a second window of your browser.
subscription Watch {
  transferEvents {
    cursor
    transfer {
      id
      name
      state
      bytesDone
      bytesTotal
    }
  }
}
`,
    headers: HEADERS,
  },
];
