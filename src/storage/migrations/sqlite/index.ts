import type { MigrationObject } from '@mikro-orm/core';
import { Initial } from './20261120000000-initial.ts';
import { Search } from './20261120000001-search.ts';
import { SharedStates } from './20261126074500-shared-states.ts';
import { TransferSources } from './20261126075500-transfer-sources.ts';
import { Snapshots } from './20261126081200-snapshots.ts';
import { TransferBatches } from './20261126082200-transfer-batches.ts';
import { Offline } from './20261126082500-offline.ts';
import { TransferTrees } from './20261126083000-transfer-trees.ts';
import { DownloadRedirects } from './20261126093916-download-redirects.ts';
import { TransferItems } from './20261126110000-transfer-items.ts';
import { TransferClaims } from './20261126112600-transfer-claims.ts';
import { BlobGenerations } from './20261126113000-blob-generations.ts';
import { TransferBytes } from './20261126114000-transfer-bytes.ts';
import { Spools } from './20261126114500-spools.ts';

/** In the order in which they run. A new migration adds one line here. */
export const SQLITE_MIGRATIONS: MigrationObject[] = [
  { name: '20261120000000-initial', class: Initial },
  { name: '20261120000001-search', class: Search },
  { name: '20261126074500-shared-states', class: SharedStates },
  { name: '20261126075500-transfer-sources', class: TransferSources },
  { name: '20261126081200-snapshots', class: Snapshots },
  { name: '20261126082200-transfer-batches', class: TransferBatches },
  { name: '20261126082500-offline', class: Offline },
  { name: '20261126083000-transfer-trees', class: TransferTrees },
  { name: '20261126093916-download-redirects', class: DownloadRedirects },
  { name: '20261126110000-transfer-items', class: TransferItems },
  { name: '20261126112600-transfer-claims', class: TransferClaims },
  { name: '20261126113000-blob-generations', class: BlobGenerations },
  { name: '20261126114000-transfer-bytes', class: TransferBytes },
  { name: '20261126114500-spools', class: Spools },
];
