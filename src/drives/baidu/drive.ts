import { NAME_BYTES_MAX } from '../../lib/names.ts';
import type { CloudServices } from '../cloud.ts';
import type { Capabilities, DriveAccount, DriveDefinition, Driver } from '../driver.ts';
import { BaiduClient, LIST_PAGE_MAX } from './client.ts';
import { createDownload } from './download.ts';
import { createEditing } from './editing.ts';
import { ERROR_CODES, TITLE } from './errors.ts';
import { createLinking } from './linking.ts';
import { createListing } from './listing.ts';
import { createMedia } from './media.ts';
import { createMediaLists } from './media-lists.ts';
import { checkName } from './names.ts';
import { createPlaylists } from './playlists.ts';
import { createProfile } from './profile.ts';
import { createRecycleBin } from './recycling.ts';
import { createRenaming, RENAMES_MAX } from './renaming.ts';
import { createSearch } from './search.ts';
import { createShares } from './shares.ts';
import { createUpload, FILE_BYTES_LIMIT } from './upload.ts';
import { ROOT_REF } from './wire.ts';

const CAPABILITIES: Capabilities = {
  nameBytesMax: NAME_BYTES_MAX,
  checkName,
  caseSensitive: true,
  fileBytesMax: FILE_BYTES_LIMIT,
  listPageMax: LIST_PAGE_MAX,
  // Eight calls a minute.
  wholePages: ['listRecursive', 'listByCategory'],
  hashes: ['MD5'],
  sorts: ['NAME', 'SIZE', 'MODIFIED_AT'],
  renamesMax: RENAMES_MAX,
};

/** Baidu Netdisk, by its open platform. */
export const baidu = {
  id: 'BAIDU',
  title: TITLE,
  linkMethods: ['DEVICE_CODE', 'AUTHORIZATION_CODE', 'TOKENS'],
  settings: [],
  errorCodes: ERROR_CODES,
  create: createBaiduDriver,
  linking: createLinking,
} as const satisfies DriveDefinition<CloudServices>;

function createBaiduDriver(account: DriveAccount, services: CloudServices): Driver {
  const client = new BaiduClient(account, services);
  const shares = createShares(client);
  return {
    capabilities: CAPABILITIES,
    rootRef: ROOT_REF,
    ...createListing(client),
    ...createSearch(client),
    ...createEditing(client),
    ...createRenaming(client),
    ...createDownload(client),
    ...createProfile(client),
    upload: createUpload(client),
    media: { ...createMedia(client), ...createPlaylists(client), ...createMediaLists(client) },
    ...(shares ? { shares } : {}),
    ...(services.baidu.unverified ? { recycleBin: createRecycleBin(client) } : {}),
  };
}
