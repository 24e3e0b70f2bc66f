/** Where the documents leave room, or name more than one behaviour. Tests may change them between calls. */
export interface Settings {
  /** `huge`: beyond 2⁵³, as an id may become. */
  ids: 'seen' | 'huge';
  /** Refuses what comes faster than the published rates. */
  rates: 'on' | 'off';
  /** Code and HTTP status of what comes too fast. */
  throttleStatus: 200 | 429;
  /** HTTP status beside code 401. */
  tokenStatus: 200 | 401;
  /** Bytes of a slice. The sample has 16 MiB. */
  sliceBytes: number;
  /** Calls of `upload_complete` that find the server still at work, and how it says so. */
  mergePolls: number;
  mergeAnswer: 'incomplete' | '20103';
  /** The first so many calls of `upload_async_result` find it at work. */
  asyncPolls: number;
  /** Instant uploads never hit. */
  reuse: boolean;
  /** An instant hit has no id yet. */
  reuseWithoutId: boolean;
  /** A single-step upload that says `completed` false, with no id. */
  singleIncomplete: boolean;
  /** Names no upload server in the answer to create: those of `domain` count. */
  serversInCreate: boolean;
  /** Paths that this account's platform does not have. */
  missing: readonly string[];
  /** Answers a stored slice with an empty body. */
  emptySliceAnswer: boolean;
  /** A new file answers 20103 to so many questions for a link. */
  freshPolls: number;
  /** A new file answers 5066 to so many. */
  lateFiles: number;
  /** Where the caller of the API is, and where the bytes are asked for. */
  apiCity: string;
  cdnCity: string;
  /** How long a link to the bytes is good, in milliseconds. */
  linkMs: number;
  /** Polls after which an asynchronous copy, an offline task or a transcoding is done. */
  copyPolls: number;
  offlinePolls: number;
  transcodePolls: number;
  /** Questions for an archive of versions that find it being packed. */
  packPolls: number;
  /** How `from_cloud_disk` wants its files: a bare array, or wrapped in `fileId`. */
  fromDisk: 'array' | 'wrapped';
  /** Where the address of a playlist stands: in the record, in the result, or in neither, so that it is asked for. */
  filmLinks: 'record' | 'result' | 'none';
  /** After the last page: said with it, or by an empty page that follows. */
  listEnd: 'told' | 'empty';
  /** Whether a copy's task can be asked for by the query. */
  copyProcess: 'query' | 'refused';
  /** How `infos` gives the time of a change: as its sample, or as its table says. */
  infosTime: 'text' | 'number';
  /** What many renames in one call are answered with: both lists, or nothing. */
  renameAnswer: 'lists' | 'null';
  /** The transcoding space has no room: links are not given. */
  transcodeFull: boolean;
  /** Whether the account has bought direct links. */
  directLinks: boolean;
}

export const DEFAULTS: Settings = {
  ids: 'seen',
  rates: 'on',
  throttleStatus: 200,
  tokenStatus: 200,
  sliceBytes: 64 * 1024,
  mergePolls: 1,
  mergeAnswer: 'incomplete',
  asyncPolls: 1,
  reuse: true,
  reuseWithoutId: false,
  singleIncomplete: false,
  serversInCreate: true,
  missing: [],
  emptySliceAnswer: false,
  freshPolls: 0,
  lateFiles: 0,
  apiCity: '上海市',
  cdnCity: '上海市',
  linkMs: 24 * 3_600_000,
  copyPolls: 1,
  offlinePolls: 1,
  transcodePolls: 1,
  packPolls: 1,
  fromDisk: 'array',
  filmLinks: 'record',
  listEnd: 'told',
  copyProcess: 'query',
  infosTime: 'text',
  renameAnswer: 'lists',
  transcodeFull: false,
  directLinks: true,
};
