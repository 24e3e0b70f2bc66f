import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import type { DriveThumbnail, Media } from '../contract/media.ts';
import type { CallContext, ProviderLink } from '../driver.ts';
import { type BaiduClient, LIST_PAGE_MAX, XPAN_FILE } from './client.ts';
import { PROVIDER, TITLE } from './errors.ts';
import { CATEGORIES, folderOf, type WireMeta } from './wire.ts';

/** Of links to thumbnails and previews, in milliseconds. */
const LINK_MS = 8 * 3_600_000;
/** From the smallest on. */
const THUMBNAILS = ['icon', 'url1', 'url2', 'url3', 'url4'];
/** Documents looked through for the one whose preview is asked for: there is no call for one. */
const PREVIEW_PAGES_MAX = 5;

const PREVIEWS = z.object({
  info: z.array(
    z.object({ fs_id: z.string(), docpreview: z.string().optional(), lodocpreview: z.string().optional() }),
  ),
});

export const createMedia = (baidu: BaiduClient): Media => ({
  async thumbnails(ref, call) {
    return thumbnailsOf(baidu, await baidu.meta(ref, call, { thumb: 1 }));
  },

  async preview(ref, call) {
    const file = await baidu.meta(ref, call, { thumb: 1 });
    const category = CATEGORIES[(file.category ?? 0) - 1];
    const url =
      category === 'DOCUMENT'
        ? await documentPreview(baidu, file, call)
        : category === 'IMAGE'
          ? thumbnailsOf(baidu, file).at(-1)?.url
          : undefined;
    if (url === undefined) {
      throw new DriveError('unsupported', `${TITLE} has no preview of this file.`, {
        provider: PROVIDER,
        ability: 'PREVIEW',
      });
    }
    return { url, headers: {}, expiresAt: expiryOf(baidu) } satisfies ProviderLink;
  },

  async info(ref, call) {
    const { duration, width, height, media_info } = await baidu.meta(ref, call, {
      extra: 1,
      needmedia: 1,
      detail: 1,
    });
    const exact = media_info?.duration_ms;
    return {
      durationSeconds: (exact ? exact / 1000 : duration) || null,
      width: (width ?? media_info?.width) || null,
      height: (height ?? media_info?.height) || null,
    };
  },
});

function thumbnailsOf(baidu: BaiduClient, { thumbs = {} }: WireMeta): readonly DriveThumbnail[] {
  const expiresAt = expiryOf(baidu);
  return THUMBNAILS.flatMap((key) => {
    const url = thumbs[key];
    if (typeof url !== 'string' || url === '') return [];
    const [, width, height] = /[?&]size=c(\d+)_u(\d+)/.exec(url) ?? [];
    return [{ url, width: numberOf(width), height: numberOf(height), expiresAt }];
  });
}

const numberOf = (digits: string | undefined): number | null => (digits === undefined ? null : Number(digits));

const expiryOf = (baidu: BaiduClient): Date => addMs(baidu.now(), LINK_MS);

async function documentPreview(
  baidu: BaiduClient,
  { fs_id, path }: WireMeta,
  call: CallContext,
): Promise<string | undefined> {
  for (let page = 1; page <= PREVIEW_PAGES_MAX; page += 1) {
    const query = { method: 'doclist', parent_path: folderOf(path), page, num: LIST_PAGE_MAX, web: 1 };
    const { info } = await baidu.get(PREVIEWS, 'doclist', XPAN_FILE, query, call);
    const found = info.find((document) => document.fs_id === fs_id);
    if (found || info.length < LIST_PAGE_MAX) return found?.docpreview ?? found?.lodocpreview;
  }
  return undefined;
}
