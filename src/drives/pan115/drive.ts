import { NAME_BYTES_MAX } from '../../lib/names.ts';
import type { Pan115Services } from '../cloud.ts';
import type { Capabilities, DriveAccount, DriveDefinition, Driver } from '../driver.ts';
import { LIST_PAGE_MAX, Pan115Client } from './client.ts';
import { createDownload } from './download.ts';
import { createEditing } from './editing.ts';
import { ERROR_CODES, PROVIDER, TITLE } from './errors.ts';
import { createLinking } from './linking.ts';
import { createListing } from './listing.ts';
import { createMedia } from './media.ts';
import { checkName } from './names.ts';
import { createOffline } from './offline.ts';
import { createProfile } from './profile.ts';
import { createRecycleBin } from './recycling.ts';
import { createSearch } from './search.ts';
import { createUpload } from './upload.ts';
import { ROOT_REF } from './wire.ts';

const CAPABILITIES: Capabilities = {
  nameBytesMax: NAME_BYTES_MAX,
  checkName,
  caseSensitive: true,
  // By membership, and written nowhere.
  fileBytesMax: null,
  listPageMax: LIST_PAGE_MAX,
  hashes: ['SHA1'],
  sorts: ['NAME', 'SIZE', 'MODIFIED_AT'],
};

/** 115, by its open platform. */
export const pan115 = {
  id: PROVIDER,
  title: TITLE,
  linkMethods: ['DEVICE_CODE', 'AUTHORIZATION_CODE', 'TOKENS'],
  settings: [],
  errorCodes: ERROR_CODES,
  create: createPan115Driver,
  linking: createLinking,
} as const satisfies DriveDefinition<Pan115Services>;

function createPan115Driver(account: DriveAccount, services: Pan115Services): Driver {
  const client = new Pan115Client(account, services);
  return {
    capabilities: CAPABILITIES,
    rootRef: ROOT_REF,
    ...createListing(client),
    ...createSearch(client),
    ...createEditing(client),
    recycleBin: createRecycleBin(client),
    ...createDownload(client),
    ...createProfile(client),
    upload: createUpload(client),
    offline: createOffline(client),
    media: createMedia(client),
  };
}
