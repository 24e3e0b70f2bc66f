import type { Pan123Services } from '../cloud.ts';
import type { Capabilities, DriveAccount, DriveDefinition, Driver } from '../driver.ts';
import { LIST_PAGE_MAX, Pan123Client } from './client.ts';
import { createDirectLinks } from './direct-links.ts';
import { createDownload } from './download.ts';
import { createEditing } from './editing.ts';
import { ERROR_CODES, TITLE } from './errors.ts';
import { createLinking } from './linking.ts';
import { createListing } from './listing.ts';
import { createMedia } from './media.ts';
import { createMediaDownloads } from './media-downloads.ts';
import { createMediaPlaylists } from './media-playlists.ts';
import { checkName, NAME_CHARACTERS_MAX } from './names.ts';
import { createOffline } from './offline.ts';
import { createProfile } from './profile.ts';
import { createRecycleBin } from './recycling.ts';
import { createRenaming, RENAMES_MAX } from './renaming.ts';
import { createSearch } from './search.ts';
import { createShares } from './shares.ts';
import { createUpload, FILE_BYTES_MAX } from './upload.ts';
import { ROOT_REF } from './wire.ts';

const CAPABILITIES: Capabilities = {
  nameBytesMax: NAME_CHARACTERS_MAX,
  checkName,
  caseSensitive: true,
  fileBytesMax: FILE_BYTES_MAX,
  listPageMax: LIST_PAGE_MAX,
  hashes: ['MD5'],
  sorts: [],
  renamesMax: RENAMES_MAX,
};

/** 123pan, by its open platform. */
export const pan123 = {
  id: 'PAN123',
  title: TITLE,
  linkMethods: ['CLIENT_CREDENTIALS', 'AUTHORIZATION_CODE', 'TOKENS'],
  settings: [
    {
      name: 'clientId',
      title: 'Client id',
      help: 'Of your own developer access: apply for it on the developer page of 123pan. It comes by mail.',
      secret: false,
      required: true,
    },
    {
      name: 'clientSecret',
      title: 'Client secret',
      help: 'The secret that came with the client id. Whoever has both has your whole drive.',
      secret: true,
      required: true,
    },
  ],
  errorCodes: ERROR_CODES,
  create: createPan123Driver,
  linking: createLinking,
} as const satisfies DriveDefinition<Pan123Services>;

function createPan123Driver(account: DriveAccount, services: Pan123Services): Driver {
  const client = new Pan123Client(account, services);
  return {
    capabilities: CAPABILITIES,
    rootRef: ROOT_REF,
    ...createListing(client),
    ...createSearch(client),
    ...createEditing(client),
    ...createRenaming(client),
    ...createDownload(client),
    ...createDirectLinks(client),
    ...createProfile(client),
    recycleBin: createRecycleBin(client),
    upload: createUpload(client),
    shares: createShares(client),
    offline: createOffline(client),
    media: { ...createMedia(client), ...createMediaPlaylists(client), ...createMediaDownloads(client) },
  };
}
