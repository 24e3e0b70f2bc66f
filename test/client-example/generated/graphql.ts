/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** Something that an account can do. What is absent answers `UnsupportedError`, before any request is made. */
export type Ability =
  /** Tell what changed; computed where the provider does not tell: see `ChangeConnection.computed`. */
  | 'CHANGES'
  /** Copy entries within the drive. */
  | 'COPY'
  /** Make folders. */
  | 'CREATE_FOLDER'
  /** Delete entries. */
  | 'DELETE'
  /** Make a file of bytes that the provider has already, by their hashes. */
  | 'INSTANT_UPLOAD'
  /** List a folder. */
  | 'LIST'
  /** List the files of a category: `CloudAccount.entries(category:)`. */
  | 'LIST_BY_CATEGORY'
  /** List everything below a folder: `CloudAccount.entries(recursive: true)`. */
  | 'LIST_RECURSIVE'
  /** Tell duration and size of media. */
  | 'MEDIA_INFO'
  /** Tell the lists of films and sounds that a person put together at the provider. */
  | 'MEDIA_LISTS'
  /** Give a playlist to stream a video. */
  | 'MEDIA_PLAYLIST'
  /** Remember how far a film was watched. */
  | 'MEDIA_PROGRESS'
  /** Move entries within the drive. */
  | 'MOVE'
  /** Have the provider download a URL itself. */
  | 'OFFLINE_ADD'
  /** Tell how many offline tasks are left. */
  | 'OFFLINE_ALLOWANCE'
  /** Cancel offline tasks. */
  | 'OFFLINE_CANCEL'
  /** Clear the list of offline tasks. */
  | 'OFFLINE_CLEAR'
  /** List offline tasks. */
  | 'OFFLINE_LIST'
  /** Have the provider download what a torrent file on the drive names. */
  | 'OFFLINE_TORRENT'
  /** Give a preview of files. */
  | 'PREVIEW'
  /** Give the provider's own link to a file's bytes. */
  | 'PROVIDER_DIRECT_LINK'
  /** Read the bytes of a file. */
  | 'READ'
  /** List the recycle bin. */
  | 'RECYCLE_LIST'
  /** Delete for ever from the recycle bin. */
  | 'RECYCLE_PURGE'
  /** Restore from the recycle bin. */
  | 'RECYCLE_RESTORE'
  /** Rename entries. */
  | 'RENAME'
  /** Go on with an upload that was cut. */
  | 'RESUMABLE_UPLOAD'
  /** Search by name. */
  | 'SEARCH_NAME'
  /** Search by meaning. */
  | 'SEARCH_SEMANTIC'
  /** End share links. */
  | 'SHARE_CANCEL'
  /** Make the provider's own share links. */
  | 'SHARE_CREATE'
  /** List share links. */
  | 'SHARE_LIST'
  /** Save what somebody shared. */
  | 'SHARE_SAVE'
  /** Change share links. */
  | 'SHARE_UPDATE'
  /** Give small pictures of files. */
  | 'THUMBNAIL'
  /** Convert a video to another quality. */
  | 'TRANSCODE'
  /** Take files. */
  | 'UPLOAD';

/** Whether an account can be used. */
export type AccountStatus =
  /** Ready for use. */
  | 'ACTIVE'
  /** Switched off by an administrator. */
  | 'DISABLED'
  /** The provider no longer takes its credentials: link it again. */
  | 'NEEDS_REAUTHORIZATION';

/** What to do when the name is taken. */
export type ConflictPolicy =
  /** Refuse with `AlreadyExistsError`. */
  | 'FAIL'
  /** Give the new one a numbered name: `a (2).txt`. */
  | 'RENAME'
  /** Give the file that is there the new bytes. A folder is never replaced. */
  | 'REPLACE'
  /** Leave what is there, and answer with it. */
  | 'SKIP';

/** An entry by where it is. */
export type EntryPath = {
  /** The account. */
  accountId: string | number;
  /** The path below the root of the drive, beginning with `/`. */
  path: string;
};

/** Names an entry: exactly one of the two. */
export type EntryRef =
  {   /** By its id, which finds it also after a rename or move. */
  id: string | number; path?: never; }
  |  { id?: never;   /** By where it is. */
  path: EntryPath; };

/** What people use a file for. */
export type FileCategory =
  /** Programs and installers. */
  | 'APPLICATION'
  /** Music and speech. */
  | 'AUDIO'
  /** Texts, tables, slides, e-books. */
  | 'DOCUMENT'
  /** Pictures. */
  | 'IMAGE'
  /** Anything else, archives too. */
  | 'OTHER'
  /** BitTorrent seeds. */
  | 'TORRENT'
  /** Films and clips. */
  | 'VIDEO';

/** How a content hash is made. */
export type HashAlgorithm =
  /** CRC-32 (ISO-HDLC), 8 hex digits. */
  | 'CRC32'
  /** MD5, 32 hex digits. */
  | 'MD5'
  /** SHA-1, 40 hex digits. */
  | 'SHA1'
  /** SHA-256, 64 hex digits. */
  | 'SHA256';

/** A hash of the whole file. */
export type HashInput = {
  /** How it is made. */
  algorithm: HashAlgorithm;
  /** Lower-case hex. */
  value: string;
};

/** A kind of drive. */
export type ProviderId =
  /** Baidu Netdisk. */
  | 'BAIDU'
  /** The built-in drive of this server: every user has one. */
  | 'LOCAL'
  /** A Netdisk server. */
  | 'NETDISK'
  /** 115. */
  | 'PAN115'
  /** 123pan. */
  | 'PAN123';

/** A new user. */
export type RegisterInput = {
  /** The name to show, up to 64 characters; left out: the username. */
  displayName?: string | null | undefined;
  /** Where a password reset is sent; left out: none can be sent. */
  email?: string | null | undefined;
  /** From `createInvitation`; needed where registration is by invitation. */
  invitationCode?: string | null | undefined;
  /** 8 to 128 characters; the most common ones are refused. */
  password: string;
  /** 3 to 32 letters, digits, dots, hyphens and _, in one alphabet. Not changeable. */
  username: string;
};

/** A file to be sent. */
export type StartUploadInput = {
  /** Hashes that the bytes must have, one of each algorithm: others fail the transfer. With SHA256, a file that this account has already needs no bytes. */
  hashes?: Array<HashInput> | null | undefined;
  /** Chosen by you, for example a UUID: repeating the request with the same key has no second effect, for a day. */
  idempotencyKey?: string | null | undefined;
  /** The name of the file. */
  name: string;
  /** What to do when the name is taken, now or when the bytes are here; left out: FAIL. */
  onConflict?: ConflictPolicy | null | undefined;
  /** The folder that gets the file. */
  parent: EntryRef;
  /** How many bytes will be sent: exactly. */
  size: number;
};

/** What a transfer does just now. */
export type TransferPhase =
  /** The hashes of the bytes are computed and compared with those promised. */
  | 'HASHING'
  /** The folder is read, and what is in it is queued. */
  | 'LISTING'
  /** The drive is asked whether it has the bytes, and how it wants them. */
  | 'NEGOTIATING'
  /** Bytes come in: from the client, or from where the server fetches them. */
  | 'RECEIVING'
  /** Bytes go to the drive; of a folder, its items are at work. */
  | 'SENDING'
  /** The drive makes the file, and what it has is checked. Cannot be paused or cancelled. */
  | 'VERIFYING';

/** What a transfer waits for. A client should expect states that it does not know yet. */
export type TransferState =
  /** Ended by its owner. Final. */
  | 'CANCELLED'
  /** Given up; see `error`. Final, unless it is retried. */
  | 'FAILED'
  /** Held by its owner, until it is resumed. */
  | 'PAUSED'
  /** For its turn, or for its next try. */
  | 'QUEUED'
  /** At work. */
  | 'RUNNING'
  /** Done: the entry is there. Final. */
  | 'SUCCEEDED'
  /** For the client's bytes. */
  | 'WAITING';

/** What kind of failure it is. A client should expect values that it does not know yet. */
export type UserErrorCode =
  /** The daily allowance is used up. */
  | 'ALLOWANCE_EXCEEDED'
  /** The name is taken. */
  | 'ALREADY_EXISTS'
  /** It was cancelled before it was done. */
  | 'CANCELLED'
  /** The object changed meanwhile, or its state does not allow this now. */
  | 'CONFLICT'
  /** The bytes are not what was promised: wrong length or hash. */
  | 'INTEGRITY'
  /** An argument is missing or malformed; nothing was changed. */
  | 'INVALID_INPUT'
  /** There is no such thing, or it is not yours: both answer the same. */
  | 'NOT_FOUND'
  /** You may not do that. */
  | 'PERMISSION_DENIED'
  /** The provider failed or refused; see its code and hint. */
  | 'PROVIDER_FAILED'
  /** Too many requests; `retryAt` tells when to come back. */
  | 'RATE_LIMITED'
  /** The linked account must be authorized again by its owner. */
  | 'REAUTHORIZATION_REQUIRED'
  /** The drive, or the server, has no room left. */
  | 'STORAGE_FULL'
  /** More bytes or items than is taken. */
  | 'TOO_LARGE'
  /** This server cannot do it just now; try again. */
  | 'UNAVAILABLE'
  /** The provider cannot do it. Nothing was sent to it. */
  | 'UNSUPPORTED';

export type RegisterMutationVariables = Exact<{
  input: RegisterInput;
}>;


export type RegisterMutation = { register:
    | { __typename: 'AlreadyExistsError', code: UserErrorCode, message: string }
    | { __typename: 'InvalidInputError', code: UserErrorCode, message: string, issues: Array<{ path: Array<string>, message: string }> }
    | { __typename: 'PermissionDeniedError', code: UserErrorCode, message: string }
    | { __typename: 'RateLimitedError', code: UserErrorCode, message: string }
    | { __typename: 'RegisterPayload', user: { id: string, username: string }, session: { accessToken: string, accessTokenExpiresAt: string, refreshToken: string } }
    | { __typename: 'UnavailableError', code: UserErrorCode, message: string }
   };

export type DrivesQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type DrivesQuery = { viewer: { displayName: string, downloadAllowance: { limit: number, remaining: number, resetsAt: string }, accounts: { nodes: Array<{ id: string, label: string, provider: ProviderId, status: AccountStatus, abilities: Array<Ability>, storage: { usedBytes: number, totalBytes: number | null } | null, root: { id: string } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } } | null };

export type FolderPageQueryVariables = Exact<{
  id: string | number;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type FolderPageQuery = { node:
    | { __typename: 'CloudAccount' }
    | { __typename: 'DeviceLink' }
    | { __typename: 'DirectLink' }
    | { __typename: 'File' }
    | { __typename: 'Folder', name: string, children: { nodes: Array<
          | { __typename: 'File', mimeType: string | null, category: FileCategory, id: string, name: string, size: number | null, modifiedAt: string | null }
          | { __typename: 'Folder', id: string, name: string, size: number | null, modifiedAt: string | null }
        >, pageInfo: { hasNextPage: boolean, endCursor: string | null } } }
    | { __typename: 'MediaList' }
    | { __typename: 'OfflineTask' }
    | { __typename: 'Share' }
    | { __typename: 'Transfer' }
    | { __typename: 'TransferBatch' }
    | { __typename: 'User' }
   | null };

export type StartUploadMutationVariables = Exact<{
  input: StartUploadInput;
}>;


export type StartUploadMutation = { startUpload:
    | { __typename: 'AlreadyExistsError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null, existing:
        | { id: string, name: string }
        | { id: string, name: string }
       | null }
    | { __typename: 'CancelledError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'ConflictError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'IntegrityError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'InvalidInputError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'NotFoundError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'PermissionDeniedError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'ProviderError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'RateLimitedError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'ReauthorizationRequiredError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'StartUploadPayload', uploadUrl: string | null, chunkSize: number | null, expiresAt: string | null, transfer: { id: string, name: string, state: TransferState, phase: TransferPhase | null, bytesDone: number, bytesTotal: number | null, error:
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
          | { code: UserErrorCode, message: string }
         | null, entry:
          | { id: string, name: string }
          | { id: string, name: string }
         | null } }
    | { __typename: 'StorageFullError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'TooLargeError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'UnavailableError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
    | { __typename: 'UnsupportedError', code: UserErrorCode, message: string, retryable: boolean, retryAt: string | null }
   };

export type TransferProgressFragment = { id: string, name: string, state: TransferState, phase: TransferPhase | null, bytesDone: number, bytesTotal: number | null, error:
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
    | { code: UserErrorCode, message: string }
   | null, entry:
    | { id: string, name: string }
    | { id: string, name: string }
   | null };

export type TransferEventsSubscriptionVariables = Exact<{
  after?: string | null | undefined;
}>;


export type TransferEventsSubscription = { transferEvents: { cursor: string, transfer: { id: string, name: string, state: TransferState, phase: TransferPhase | null, bytesDone: number, bytesTotal: number | null, error:
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
        | { code: UserErrorCode, message: string }
       | null, entry:
        | { id: string, name: string }
        | { id: string, name: string }
       | null } } };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const TransferProgressFragmentDoc = new TypedDocumentString(`
    fragment TransferProgress on Transfer {
  id
  name
  state
  phase
  bytesDone
  bytesTotal
  error {
    code
    message
  }
  entry {
    id
    name
  }
}
    `, {"fragmentName":"TransferProgress"}) as unknown as TypedDocumentString<TransferProgressFragment, unknown>;
export const RegisterDocument = new TypedDocumentString(`
    mutation Register($input: RegisterInput!) {
  register(input: $input) {
    __typename
    ... on RegisterPayload {
      user {
        id
        username
      }
      session {
        accessToken
        accessTokenExpiresAt
        refreshToken
      }
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<RegisterMutation, RegisterMutationVariables>;
export const DrivesDocument = new TypedDocumentString(`
    query Drives($first: Int, $after: String) {
  viewer {
    displayName
    downloadAllowance {
      limit
      remaining
      resetsAt
    }
    accounts(first: $first, after: $after) {
      nodes {
        id
        label
        provider
        status
        abilities
        storage {
          usedBytes
          totalBytes
        }
        root {
          id
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
    `) as unknown as TypedDocumentString<DrivesQuery, DrivesQueryVariables>;
export const FolderPageDocument = new TypedDocumentString(`
    query FolderPage($id: ID!, $first: Int, $after: String) {
  node(id: $id) {
    __typename
    ... on Folder {
      name
      children(first: $first, after: $after, orderBy: {by: NAME, direction: ASC}) {
        nodes {
          __typename
          id
          name
          size
          modifiedAt
          ... on File {
            mimeType
            category
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<FolderPageQuery, FolderPageQueryVariables>;
export const StartUploadDocument = new TypedDocumentString(`
    mutation StartUpload($input: StartUploadInput!) {
  startUpload(input: $input) {
    __typename
    ... on StartUploadPayload {
      transfer {
        ...TransferProgress
      }
      uploadUrl
      chunkSize
      expiresAt
    }
    ... on AlreadyExistsError {
      existing {
        id
        name
      }
    }
    ... on UserError {
      code
      message
      retryable
      retryAt
    }
  }
}
    fragment TransferProgress on Transfer {
  id
  name
  state
  phase
  bytesDone
  bytesTotal
  error {
    code
    message
  }
  entry {
    id
    name
  }
}`) as unknown as TypedDocumentString<StartUploadMutation, StartUploadMutationVariables>;
export const TransferEventsDocument = new TypedDocumentString(`
    subscription TransferEvents($after: String) {
  transferEvents(after: $after) {
    cursor
    transfer {
      ...TransferProgress
    }
  }
}
    fragment TransferProgress on Transfer {
  id
  name
  state
  phase
  bytesDone
  bytesTotal
  error {
    code
    message
  }
  entry {
    id
    name
  }
}`) as unknown as TypedDocumentString<TransferEventsSubscription, TransferEventsSubscriptionVariables>;