/** Where the documents leave room, or name more than one behaviour. Tests may change them between calls. */
export interface Settings {
  /** Requests of one account to the interface within a second of real time; more are answered with nothing. */
  requestsPerSecond: number;
  /** What was just made is not found by its facts for so long, in milliseconds. */
  infoLagMs: number;
  /** What was just made is not in lists for so long, in milliseconds. */
  listLagMs: number;
  /** What is not there: its number, or a success with an empty list. */
  missingInfo: 'code' | 'empty';
  /** Facts come as a list of one. */
  infoAsList: boolean;
  /** How long a change takes, in milliseconds of real time; another one meanwhile is refused. */
  changeMs: number;
  /** A change of a folder is still under way for so many further ones. */
  changesBehind: number;
  /** A renamed file keeps its extension, whatever is asked. */
  keepExtensions: boolean;
  /** Search finds entries only this long after they were made. */
  searchLagMs: number;
  /** How long a look at a device code is held, in milliseconds of real time. */
  longPollMs: number;
  accessTokenSeconds: number;
  /** New tokens come with how long they live: every field of that answer is optional. */
  tellsLifetime: boolean;
  /** Most authorizations of one account that live at a time. */
  grantsMax: number;
  /** Which files are asked about before they are taken: those that are known, all, or none. */
  challenges: 'known' | 'all' | 'none';
  /** False: no upload is instant, but of no bytes. */
  instant: boolean;
  /** A file of no bytes is not known either. */
  emptyKnown: boolean;
  /** How long credentials for the storage live, in milliseconds. */
  stsMs: number;
  /** The field of the secret is misspelt, as in the document. */
  stsMisspelt: boolean;
  /** Parts in one page of their list. */
  partsPage: number;
  /** Connections to one download address. */
  connectionsMax: number;
  downloadMs: number;
  /** Addresses want the cookie that came with them (`f=3`). */
  downloadCookie: boolean;
  /** Tasks on one page of the list. */
  offlinePage: number;
}

export const DEFAULTS: Settings = {
  requestsPerSecond: 5,
  infoLagMs: 1_000,
  listLagMs: 1_000,
  missingInfo: 'code',
  infoAsList: false,
  changeMs: 2,
  changesBehind: 0,
  keepExtensions: true,
  searchLagMs: 0,
  longPollMs: 25,
  accessTokenSeconds: 7200,
  tellsLifetime: true,
  grantsMax: 3,
  challenges: 'known',
  instant: true,
  emptyKnown: true,
  stsMs: 3_600_000,
  stsMisspelt: false,
  partsPage: 1000,
  connectionsMax: 2,
  downloadMs: 4 * 3_600_000,
  downloadCookie: false,
  offlinePage: 30,
};
