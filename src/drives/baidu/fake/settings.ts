/** Where the documents leave room, or name more than one behaviour. Tests may change them between calls. */
export interface Settings {
  /** The directory of the application. */
  appRoot: string;
  /** Which calls must stay within it. */
  scope: 'open' | 'writes' | 'all';
  /** How a call outside it is refused: 31064, -7 by item (classic) or 20020. */
  scopeErrors: 'classic' | 'gateway';
  fsIds: 'seen' | 'huge';
  /** The number for an access token that ran out: 20016, or -6, 111, 31045. */
  expiredTokenErrno: number;
  /** The number for an access token that was taken back: 20017, or -6. */
  revokedTokenErrno: number;
  /** HTTP status of the numbers 20011 to 20023. */
  gatewayStatus: number;
  unknownParameters: 'refused' | 'ignored';
  /** Keys that no document names, at random, in answers and entries. */
  extraKeys: boolean;
  /** Labels the plain answer to a slice as gzip. */
  gzipLabel: 'never' | 'unless-identity' | 'always';
  /** What precreate says to a file of no bytes. */
  emptyFiles: 'refused' | 'allowed';
  /** Missing parents of an upload or a new directory are made on the way; else 31063. */
  createParents: boolean;
  slicesMax: number;
  /** precreate with a known `uploadid` names only the missing slices. */
  resumeShrinks: boolean;
  /** False: rapid uploads always miss. */
  rapidUploads: boolean;
  /** Host that `locateupload` names, instead of the fake's own. */
  uploadServers: readonly string[] | null;
  /** The top number when some items of a batch failed: 12 or 0. */
  partialErrno: number;
  /** The number of an item whose target is there: -8 or -30. */
  takenErrno: number;
  /** `async=1` becomes a task above so many items. */
  adaptiveItems: number;
  /** A task is done at this poll, */
  taskPolls: number;
  /** or after so long, whichever comes first. */
  taskMs: number;
  /** A task neither advances nor ends while this is true. */
  holdTasks: boolean;
  /** `ondup=overwrite` of a move that is done at once still answers -8, as one client saw. */
  syncMoveOverwriteFails: boolean;
  /** Whether the application may ask about tasks: no document promises it. */
  taskQueries: boolean;
  /** An announcement does not ask for slices that the service has from other files. */
  knownSlices: boolean;
  /** `search` takes a page; else it gives the first one again, as newer documents name none. */
  searchPages: boolean;
  listallPerMinute: number;
  /** Search finds entries only this long after they were made, and still shows deleted ones as long. */
  searchLagMs: number;
  /** A dlink answers the bytes at once instead of a redirect. */
  directDownloads: boolean;
  /** The recycle bin and the own shares of the web page accept an access token. */
  webEndpoints: boolean;
}

export const DEFAULTS: Settings = {
  appRoot: '/apps/demo',
  scope: 'writes',
  scopeErrors: 'classic',
  fsIds: 'seen',
  expiredTokenErrno: 20016,
  revokedTokenErrno: 20017,
  gatewayStatus: 200,
  unknownParameters: 'refused',
  extraKeys: true,
  gzipLabel: 'unless-identity',
  emptyFiles: 'refused',
  createParents: true,
  slicesMax: 1024,
  resumeShrinks: true,
  rapidUploads: true,
  uploadServers: null,
  partialErrno: 12,
  takenErrno: -8,
  adaptiveItems: 20,
  taskPolls: 3,
  taskMs: 20_000,
  holdTasks: false,
  syncMoveOverwriteFails: false,
  taskQueries: true,
  knownSlices: false,
  searchPages: true,
  listallPerMinute: 10,
  searchLagMs: 0,
  directDownloads: false,
  webEndpoints: false,
};
