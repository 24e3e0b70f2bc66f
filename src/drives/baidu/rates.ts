import { perMinute, perSecond, type RateTable } from '../../transport/limiter.ts';

/** What an account may ask for. Baidu publishes the number for `listall` only; the others are what clients live with. */
export const RATES: RateTable = {
  list: { windows: [perSecond(2, 5)] },
  filemetas: { windows: [perSecond(2, 5)] },
  listall: { windows: [perMinute(8)] },
  categorylist: { windows: [perMinute(8)] },
  search: { windows: [perMinute(10)] },
  unisearch: { windows: [perMinute(10)] },
  // Haste is punished.
  filemanager: { windows: [{ max: 1, windowMs: 400 }], concurrent: 1 },
  // No request: Baidu works on one task of an account at a time, from the change that left it behind until it is done.
  task: { concurrent: 1 },
  superfile2: { concurrent: 3 },
  // More connections bring no speed, and look like a leech.
  download: { concurrent: 4 },
  segment: { concurrent: 4 },
};
