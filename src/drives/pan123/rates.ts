import { perMinute, perSecond, type RateTable } from '../../transport/limiter.ts';

/** Requests in a second, by the developer notice of 10-28; the columns are those of the notice. */
export const PUBLISHED: readonly (readonly [path: string, free: number, member: number])[] = [
  ['api/v1/user/info', 10, 10],
  ['api/v1/file/move', 3, 10],
  ['api/v1/file/delete', 1, 10],
  ['api/v1/file/list', 0.2, 10],
  ['api/v2/file/list', 5, 10],
  ['upload/v1/file/mkdir', 5, 20],
  ['api/v1/access_token', 8, 10],
  ['api/v1/transcode/folder/info', 20, 20],
  ['api/v1/transcode/upload/from_cloud_disk', 1, 1],
  ['api/v1/transcode/delete', 10, 10],
  ['api/v1/transcode/video/resolutions', 1, 1],
  ['api/v1/transcode/video', 3, 3],
  ['api/v1/transcode/video/record', 20, 20],
  ['api/v1/transcode/video/result', 20, 20],
  ['api/v1/transcode/file/download', 10, 10],
  ['api/v1/transcode/m3u8_ts/download', 20, 20],
  ['api/v1/transcode/file/download/all', 1, 1],
];

/** Requests in a second of accounts that came by the operator's application, counted by account (documents of 2026-04). */
export const APPLICATION: readonly (readonly [path: string, perSecond: number])[] = [
  ['upload/v1/file/create', 5],
  ['upload/v1/file/get_upload_url', 20],
  ['upload/v1/file/list_upload_parts', 20],
  ['upload/v1/file/mkdir', 5],
  ['upload/v1/file/upload_async_result', 5],
  ['upload/v1/file/upload_complete', 20],
  ['api/v1/file/delete', 1],
  ['api/v1/access_token', 8],
  ['api/v1/file/list', 1],
  ['api/v1/file/trash', 5],
  ['api/v1/file/move', 10],
  ['api/v1/user/info', 10],
  ['api/v2/file/list', 15],
  ['api/v1/video/transcode/list', 1],
  ['api/v1/file/infos', 10],
  ['api/v1/file/download_info', 5],
];

/** Of calls that no table names: what changes something, and what only asks. Clients live with these. */
const WRITES_PER_SECOND = 2;
const READS_PER_SECOND = 5;
const WRITES = [
  'api/v1/file/name',
  'api/v1/file/rename',
  'api/v1/file/trash',
  'api/v1/file/recover',
  'api/v1/file/recover/by_path',
  'api/v1/file/copy',
  'api/v1/file/async/copy',
  'upload/v1/file/create',
  'upload/v1/file/get_upload_url',
  'upload/v2/file/create',
  'upload/v2/file/single/create',
  'api/v1/share/create',
  'api/v1/share/list/info',
  'api/v1/offline/download',
];
const READS = [
  'api/v1/file/detail',
  'api/v1/file/infos',
  'api/v1/file/async/copy/process',
  'api/v1/file/download_info',
  'api/v1/direct-link/url',
  'api/v1/share/list',
  'api/v1/offline/download/process',
  'upload/v2/file/domain',
  'upload/v1/file/list_upload_parts',
  // Asked each second for each upload; clients put no limit on them.
  'upload/v2/file/upload_complete',
  'upload/v1/file/upload_complete',
  'upload/v1/file/upload_async_result',
];

const FALLBACK: RateTable = {
  ...tableOf(WRITES.map((path) => [path, WRITES_PER_SECOND])),
  ...tableOf(READS.map((path) => [path, READS_PER_SECOND])),
  // What clients know of the sign-in by the operator's application, which all of its accounts share.
  'api/v1/oauth2/access_token': { windows: [perMinute(100)] },
  // Uploads under way of one account: about 60 at once brought a ban of its writes.
  'upload/v2/file/slice': { concurrent: 16 },
  'bucket/part': { concurrent: 16 },
};

export const FREE_RATES: RateTable = { ...FALLBACK, ...tableOf(PUBLISHED.map(([path, free]) => [path, free])) };
export const MEMBER_RATES: RateTable = {
  ...FALLBACK,
  ...tableOf(PUBLISHED.map(([path, , member]) => [path, member])),
};
export const APPLICATION_RATES: RateTable = { ...FREE_RATES, ...tableOf(APPLICATION) };

/** What counts for an account with its own client id: its membership decides. */
export const ratesOf = ({ vip }: { readonly vip: boolean }): RateTable => (vip ? MEMBER_RATES : FREE_RATES);

function tableOf(rows: readonly (readonly [path: string, rate: number])[]): RateTable {
  return Object.fromEntries(rows.map(([path, rate]) => [path, { windows: [perSecond(rate)] }]));
}
