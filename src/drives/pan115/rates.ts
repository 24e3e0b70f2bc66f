import type { RateTable } from '../../transport/limiter.ts';

/**
 * What an account may ask for. 115 publishes no numbers: clients live with one to three requests a second over all calls,
 * and with about 10,000 a day.
 */
export const RATES: RateTable = {
  '*': { windows: [{ max: 3, windowMs: 2_000 }] },
  // Changes of the tree must not overlap within an account; further ones are refused.
  change: { concurrent: 1 },
  'offline.list': { windows: [{ max: 1, windowMs: 1_000 }] },
};

/** Connections to the storage: parts of one file go one after the other, and a handful of files at a time. */
export const OSS_RATES: RateTable = { 'oss.part': { concurrent: 5 } };

/** Of one file: the address allows two connections, seldom more, and the host refuses the third. */
export const DOWNLOAD_RATES: RateTable = { download: { concurrent: 2 } };

/** Of a file whose address allows no second one. */
export const SINGLE_DOWNLOAD_RATES: RateTable = { download: { concurrent: 1 } };
