import { NAME_BYTES_MAX } from '../../lib/names.ts';
import type { CloudParts } from '../cloud.ts';
import type { Capabilities, DriveAccount, DriveDefinition, Driver } from '../driver.ts';
import { createBytes } from './bytes.ts';
import { NetdiskClient } from './client.ts';
import { createEditing } from './editing.ts';
import { ERROR_CODES, PROVIDER } from './errors.ts';
import { createLinking, identityOf } from './linking.ts';
import { createLinks } from './links.ts';
import { createLooking, SEARCH_PAGE_MAX } from './looking.ts';
import { ROOT_REF } from './paths.ts';

const CAPABILITIES: Capabilities = {
  nameBytesMax: NAME_BYTES_MAX,
  caseSensitive: true,
  fileBytesMax: null,
  listPageMax: SEARCH_PAGE_MAX,
  // Of the file before it is sent. The server tells none.
  hashes: ['SHA256'],
  sorts: [],
};

/** A “Netdisk” server of one's own, by its specification (README.md). It has no list of a folder. */
export const netdisk = {
  id: PROVIDER,
  title: 'Netdisk server',
  linkMethods: ['PASSWORD'],
  settings: [
    {
      name: 'baseUrl',
      title: 'Address',
      help: 'Of the server, with the path to its interface: https://files.example.com/Netdisk. An address in a private network must be allowed by the operator of this server (OUTBOUND_ALLOW_CIDRS).',
      secret: false,
      required: true,
    },
    { name: 'username', title: 'User', help: 'Your user name there.', secret: false, required: true },
    { name: 'password', title: 'Password', help: 'Your password there. Kept sealed.', secret: true, required: true },
  ],
  errorCodes: ERROR_CODES,
  create: createNetdiskDriver,
  linking: createLinking,
} as const satisfies DriveDefinition<CloudParts>;

function createNetdiskDriver(account: DriveAccount, services: CloudParts): Driver {
  const client = new NetdiskClient(account, services);
  return {
    capabilities: CAPABILITIES,
    rootRef: ROOT_REF,
    ...createLooking(client),
    ...createEditing(client),
    ...createBytes(client),
    ...createLinks(client),
    /** As it was typed, and accepted: the server tells nothing more. */
    profile: async () => ({
      providerUserId: identityOf(account.settings),
      name: account.settings.username ?? null,
      membership: null,
      avatarUrl: null,
      membershipExpiresAt: null,
    }),
  };
}
