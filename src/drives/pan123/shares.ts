import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import type { DriveShare, ShareOptions, Shares, ShareTraffic } from '../contract/shares.ts';
import type { CallContext } from '../driver.ts';
import { encodeCursor } from '../shared/paging.ts';
import { ACCEPTED, IDS_MAX, idOf, invalid, LIST_PAGE_MAX, notFound, type Pan123Client } from './client.ts';
import { PROVIDER, TITLE } from './errors.ts';
import { pageLimit, placeIn } from './listing.ts';
import { ID, isLastPage, listOf, NUMBER, PLACE_ID, ROOT_REF, timeOf } from './wire.ts';

const DAY_MS = 86_400_000;
/** 0 is for ever. */
const DAYS: readonly number[] = [1, 7, 30];
const PASSWORD = /^[0-9a-z]{4}$/i;
/** Names of shares have fewer than 35 characters, and none of those that names of files have not. */
const NAME_CHARACTERS_MAX = 34;
const FORBIDDEN = /["\\/:*?|><]/g;
/** Lists show a far year for a share that is for ever. */
const FOR_EVER_YEAR = 2090;

const CREATED = z.object({ shareID: ID, shareKey: z.string().min(1) });
const SHARE = z.object({
  shareId: ID,
  shareKey: z.string(),
  shareName: z.string().catch(''),
  expiration: z.unknown(),
  expired: NUMBER.catch(0),
  sharePwd: z.string().nullish(),
});
const SHARE_PAGE = z.object({ lastShareId: PLACE_ID, shareList: listOf(SHARE) });
const PLACE = z.tuple([z.string(), z.string().regex(/^\d{1,19}$/)]);

/** Shares; of one that is made, only who pays its traffic can be changed. */
export const createShares = (pan123: Pan123Client): Shares => ({
  takesTraffic: true,

  async create(refs, { days, password, remark, ticket, traffic }, call) {
    if (ticket !== null) throw invalid('asks for no ticket.');
    if (days !== null && !DAYS.includes(days)) throw invalid('shares for 1, 7 or 30 days, or for ever.');
    if (password !== null && !PASSWORD.test(password)) {
      throw invalid('takes four letters and digits for the password of a share.');
    }
    if (refs.length === 0 || refs.length > IDS_MAX || refs.includes(ROOT_REF)) {
      throw invalid(`shares entries below the root, from 1 to ${IDS_MAX}.`);
    }
    const known = await pan123.infos(refs, call);
    const first = known.get(refs[0] ?? '');
    if (!first || refs.some((ref) => known.get(ref)?.trashed !== 0)) {
      throw invalid('no longer has all of the entries that are to be shared.');
    }
    const { shareID, shareKey } = await pan123.post(
      CREATED,
      '/api/v1/share/create',
      {
        shareName: nameOf(remark ?? first.filename),
        shareExpire: days ?? 0,
        // One text, not a list.
        fileIDList: refs.join(','),
        ...(password === null ? {} : { sharePwd: password }),
        ...trafficOf(traffic),
      },
      call,
    );
    const createdAt = pan123.now();
    return {
      ref: shareID,
      url: urlOf(pan123, shareKey),
      password,
      remark,
      createdAt,
      expiresAt: days === null ? null : addMs(createdAt, days * DAY_MS),
      active: true,
    };
  },

  async list(page, call) {
    const limit = pageLimit(page);
    const [, start] = placeIn(page, PLACE, 'shares') ?? ['shares', null];
    const { lastShareId, shareList } = await sharePage(pan123, limit, start, call);
    const ended = isLastPage(lastShareId, start, shareList);
    return {
      items: shareList.map((share) => toShare(pan123, share)),
      nextCursor: ended ? null : encodeCursor(['shares', lastShareId]),
      totalCount: null,
    };
  },

  async update(shareRef, changes, call) {
    refuseFixed(changes);
    idOf(shareRef);
    const share = await find(pan123, shareRef, call);
    const json = { shareIdList: [idOf(shareRef)], ...trafficOf(changes.traffic) };
    await pan123.post(ACCEPTED, '/api/v1/share/list/info', json, call, { method: 'PUT', idempotent: true });
    return share;
  },
});

/** What stands once a share is made. */
function refuseFixed({ days, password, remark, ticket, traffic }: Partial<ShareOptions>): void {
  if (traffic !== undefined && [days, password, remark, ticket].every((value) => value === undefined)) return;
  throw new DriveError('unsupported', `${TITLE} changes only who pays the traffic of a share.`, {
    provider: PROVIDER,
    ability: 'SHARE_UPDATE',
    hint: 'Make another share with the other password or time.',
  });
}

/** 1 nobody, 2 guests, 3 people whose own traffic is used up, 4 both. */
function trafficOf(traffic: ShareTraffic | null | undefined): Record<string, unknown> {
  if (!traffic) return {};
  const { guests, beyondQuota, limitBytes } = traffic;
  return {
    trafficSwitch: 1 + (guests ? 1 : 0) + (beyondQuota ? 2 : 0),
    trafficLimitSwitch: limitBytes === null ? 1 : 2,
    ...(limitBytes === null ? {} : { trafficLimit: limitBytes }),
  };
}

const nameOf = (text: string): string =>
  [...text.replace(FORBIDDEN, ' ').trim()].slice(0, NAME_CHARACTERS_MAX).join('').trim() || 'share';

const urlOf = ({ settings }: Pan123Client, key: string): string => `${settings.authUrl}/s/${key}`;

function toShare(pan123: Pan123Client, share: z.infer<typeof SHARE>): DriveShare {
  const until = timeOf(share.expiration);
  return {
    ref: share.shareId,
    url: urlOf(pan123, share.shareKey),
    password: share.sharePwd || null,
    remark: share.shareName || null,
    createdAt: null,
    expiresAt: until && until.getUTCFullYear() < FOR_EVER_YEAR ? until : null,
    active: share.expired === 0,
  };
}

/** The first page begins at 0. */
const sharePage = (pan123: Pan123Client, limit: number, after: string | null, call: CallContext) =>
  pan123.get(SHARE_PAGE, '/api/v1/share/list', { limit, lastShareId: after ?? 0 }, call);

/** There is no call for one: the list is looked through. @throws DriveError `not_found` */
async function find(pan123: Pan123Client, shareRef: string, call: CallContext): Promise<DriveShare> {
  let after: string | null = null;
  for (;;) {
    const page: z.infer<typeof SHARE_PAGE> = await sharePage(pan123, LIST_PAGE_MAX, after, call);
    const found = page.shareList.find(({ shareId }) => shareId === shareRef);
    if (found) return toShare(pan123, found);
    if (isLastPage(page.lastShareId, after, page.shareList)) throw notFound();
    after = page.lastShareId;
  }
}
