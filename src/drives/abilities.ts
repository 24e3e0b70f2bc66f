import type { Driver } from './driver.ts';
import { findAct, type Operation } from './operations.ts';

/** What gives an ability: having one of these acts. The order is that of the schema's enum. */
const ABILITY_ACTS = {
  LIST: ['list'],
  LIST_RECURSIVE: ['listRecursive'],
  LIST_BY_CATEGORY: ['listByCategory'],
  SEARCH_NAME: ['searchByName'],
  SEARCH_SEMANTIC: ['searchByMeaning'],
  READ: ['read'],
  CREATE_FOLDER: ['createFolder'],
  RENAME: ['rename', 'renameMany'],
  MOVE: ['move'],
  COPY: ['copy'],
  DELETE: ['remove', 'removePermanently'],
  RECYCLE_LIST: ['recycleBin.list'],
  RECYCLE_RESTORE: ['recycleBin.restore'],
  RECYCLE_PURGE: ['recycleBin.purge', 'recycleBin.empty'],
  UPLOAD: [
    'upload.begin',
    'upload.putSlice',
    'upload.complete',
    'upload.settleReplace',
    'upload.abort',
    'upload.putWhole',
    'adopt',
  ],
  INSTANT_UPLOAD: ['instantUpload'],
  RESUMABLE_UPLOAD: ['upload.putSlice', 'upload.heldSlices'],
  SHARE_CREATE: ['shares.create'],
  SHARE_LIST: ['shares.list'],
  SHARE_UPDATE: ['shares.update'],
  SHARE_CANCEL: ['shares.cancel'],
  SHARE_SAVE: ['shares.save'],
  OFFLINE_ADD: ['offline.add'],
  OFFLINE_TORRENT: ['offline.addTorrent'],
  OFFLINE_LIST: ['offline.list'],
  OFFLINE_CANCEL: ['offline.cancel'],
  OFFLINE_CLEAR: ['offline.clear'],
  OFFLINE_ALLOWANCE: ['offline.allowance'],
  THUMBNAIL: ['media.thumbnails'],
  PREVIEW: ['media.preview'],
  MEDIA_PLAYLIST: ['media.playlist', 'media.openPlaylist'],
  MEDIA_INFO: ['media.info'],
  MEDIA_LISTS: ['media.lists', 'media.listFiles'],
  MEDIA_PROGRESS: ['media.progress', 'media.saveProgress'],
  CHANGES: ['changes'],
  PROVIDER_DIRECT_LINK: ['link'],
  TRANSCODE: ['media.transcode', 'media.deleteVersions', 'media.openDownload'],
} as const satisfies Record<string, readonly Operation[]>;

export type Ability = keyof typeof ABILITY_ACTS;
export const ABILITIES = Object.keys(ABILITY_ACTS) as readonly Ability[];

/** What the driver can do, told by the acts that it has. An instant hit may also come from the start of an upload. */
export function abilitiesOf(driver: Driver): ReadonlySet<Ability> {
  const has = (act: Operation): boolean => findAct(driver, act) !== null;
  const abilities = new Set(ABILITIES.filter((ability) => ABILITY_ACTS[ability].some(has)));
  if (driver.upload?.instantHashes?.length) abilities.add('INSTANT_UPLOAD');
  return abilities;
}

const ABILITY_OF_ACT: ReadonlyMap<string, Ability> = new Map(
  ABILITIES.toReversed().flatMap((ability) => ABILITY_ACTS[ability].map((act) => [act, ability] as const)),
);

/** The ability that an act belongs to; null for acts that stand for none, such as `stat`. */
export const abilityOfAct = (act: string): Ability | null => ABILITY_OF_ACT.get(act) ?? null;
