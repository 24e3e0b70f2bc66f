import { NAME_BYTES_MAX } from '../../lib/names.ts';
import type { Capabilities, DriveDefinition, Driver } from '../driver.ts';
import { wrapActs } from '../operations.ts';
import { createReading } from './bytes.ts';
import type { LocalContext, LocalServices } from './context.ts';
import { createCopying } from './copying.ts';
import { createDeleting } from './deleting.ts';
import { createEditing } from './editing.ts';
import { classify } from './errors.ts';
import { createFacts } from './facts.ts';
import { createFiling } from './filing.ts';
import { createListing, LIST_PAGE_MAX } from './listing.ts';
import { createSearch } from './search.ts';
import { createUploading } from './uploading.ts';

const CAPABILITIES: Capabilities = {
  nameBytesMax: NAME_BYTES_MAX,
  caseSensitive: false,
  fileBytesMax: null,
  listPageMax: LIST_PAGE_MAX,
  hashes: ['SHA256', 'SHA1', 'MD5', 'CRC32'],
  sorts: ['NAME', 'SIZE', 'MODIFIED_AT'],
};

/** The built-in drive: entries in the database, bytes as blobs. Every user has one from registration on. */
export const local = {
  id: 'LOCAL',
  title: 'Built-in drive',
  linkMethods: ['NONE'],
  settings: [],
  errorCodes: [],
  create: ({ id }, services) => createLocalDriver({ ...services, accountId: id }),
} as const satisfies DriveDefinition<LocalServices>;

function createLocalDriver(context: LocalContext): Driver {
  const driver: Driver = {
    capabilities: CAPABILITIES,
    rootRef: context.accountId,
    ...createListing(context),
    ...createSearch(context),
    ...createReading(context),
    ...createEditing(context),
    ...createCopying(context),
    ...createDeleting(context),
    ...createFiling(context),
    ...createUploading(context),
    ...createFacts(context),
  };
  return wrapActs(driver, (_path, act) => async (...args) => {
    try {
      return await act(...args);
    } catch (error) {
      throw classify(error) ?? error;
    }
  });
}
