import { z } from 'zod';
import type { DriveShare, Shares } from '../contract/shares.ts';
import type { CallContext } from '../driver.ts';
import { encodeCursor } from '../shared/paging.ts';
import { ACCEPTED, type BaiduClient } from './client.ts';
import { baiduError } from './errors.ts';
import { pageLimit, placeIn } from './listing.ts';
import { WEB_APP, WEB_HEADERS, WEB_QUERY } from './web.ts';
import { listOf } from './wire.ts';

/** Asked for at a time, whatever is shown. */
const PAGE = 100;
/** Pages looked through for one share: there is no call for one. */
const PAGES_MAX = 50;
/** Smaller numbers are no time of day, whatever they are: how long a share still lives, say. */
const EPOCH_SECONDS_MIN = 1_000_000_000;
const ALIVE = 0;

const PLACE = z.tuple([z.string(), z.int().min(0)]);
const LISTING = 'shares';

const RECORD = z.object({
  shareId: z.union([z.string(), z.number()]).transform(String),
  shortlink: z.string(),
  shorturl: z.string().optional(),
  status: z.coerce.number(),
  expiredTime: z.coerce.number().optional().catch(undefined),
  ctime: z.coerce.number().optional().catch(undefined),
});
type Record = z.infer<typeof RECORD>;
const RECORDS = z.object({ list: listOf(RECORD), nextpage: z.coerce.number().catch(0) });

/** The list of own shares of Baidu's web page, which no document opens to applications: it took access tokens in 2023. */
export const createShareRecords = (baidu: BaiduClient): Required<Pick<Shares, 'list' | 'cancel'>> => ({
  async list(page, call) {
    const limit = pageLimit(page);
    const [, start] = placeIn(page, PLACE, LISTING) ?? [LISTING, 0];
    const { list, nextpage } = await recordsOn(baidu, Math.floor(start / PAGE) + 1, call);
    const from = start % PAGE;
    const shown = list.slice(from, from + limit);
    const hasMore = list.length > from + limit || (nextpage !== 0 && shown.length > 0);
    return {
      items: shown.map(shareOf),
      nextCursor: hasMore ? encodeCursor([LISTING, start + shown.length]) : null,
      totalCount: null,
    };
  },

  async cancel(shareRef, call) {
    const record = await find(baidu, shareRef, call);
    const query = { ...WEB_QUERY, ...WEB_APP };
    const form = { shareid_list: `[${record.shareId}]` };
    const post = { url: '/share/cancel', query, headers: WEB_HEADERS, form, idempotent: true };
    await baidu.post(ACCEPTED, 'share.cancel', post, call);
  },
});

function recordsOn(baidu: BaiduClient, page: number, call: CallContext): Promise<z.infer<typeof RECORDS>> {
  const query = { page, num: PAGE, order: 'ctime', desc: 1, ...WEB_QUERY };
  return baidu.get(RECORDS, 'share.record', '/share/record', query, call, WEB_HEADERS);
}

/** By the link, as the paid service knows shares: it tells no number to cancel them by afterwards. */
async function find(baidu: BaiduClient, shareRef: string, call: CallContext): Promise<Record> {
  for (let page = 1; page <= PAGES_MAX; page += 1) {
    const { list, nextpage } = await recordsOn(baidu, page, call);
    const found = list.find((record) => refOf(record) === shareRef);
    if (found) return found;
    if (nextpage === 0) break;
  }
  throw baiduError('not_found', 'has no such share any more.', null, {});
}

/** As the share service names it: `surl`, or the end of `/s/1…` without the mark of the web page. */
function refOf({ shortlink, shorturl }: Record): string {
  const url = URL.parse(shortlink);
  return url?.searchParams.get('surl') ?? /^\/s\/1([\w-]+)/.exec(url?.pathname ?? '')?.[1] ?? shorturl ?? shortlink;
}

const shareOf = (record: Record): DriveShare => ({
  ref: refOf(record),
  url: record.shortlink,
  password: null, // Always empty here.
  remark: null,
  createdAt: dateOf(record.ctime),
  expiresAt: dateOf(record.expiredTime),
  active: record.status === ALIVE,
});

const dateOf = (seconds: number | undefined): Date | null =>
  seconds !== undefined && seconds >= EPOCH_SECONDS_MIN ? new Date(seconds * 1000) : null;
