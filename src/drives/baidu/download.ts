import type { Readable } from 'node:stream';
import { DriveError } from '../../lib/drive-error.ts';
import type { ByteRange, CallContext, Driver } from '../driver.ts';
import { type BaiduClient, invalid } from './client.ts';
import { baiduError, LEECH, LINK_EXPIRED } from './errors.ts';
import { DOWNLOAD_HOSTS } from './hosts.ts';
import { isFolder, ROOT_REF } from './wire.ts';

const BAIDU_HOST = /(^|\.)pcs\.baidu\.com$/;

export const createDownload = (baidu: BaiduClient) =>
  ({
    /** By a fresh link, which leads to a content host: it gets neither the token nor anything else of ours. */
    async read(ref, range, call) {
      if (ref === ROOT_REF) throw noFile();
      try {
        return await readByLink(baidu, ref, range, call);
      } catch (error) {
        if (!(error instanceof DriveError) || !OF_THE_LINK.has(error.providerCode ?? '')) throw error;
        return readByLink(baidu, ref, range, call);
      }
    },
  }) satisfies Partial<Driver>;

/** What another link may cure: it expired or was refused, here or at the content host. */
const OF_THE_LINK: ReadonlySet<string> = new Set([LINK_EXPIRED, LEECH, '31300', '31362', 'HTTP 403', 'HTTP 410']);

async function readByLink(
  baidu: BaiduClient,
  ref: string,
  range: ByteRange | null,
  call: CallContext,
): Promise<Readable> {
  const file = await baidu.meta(ref, call, { dlink: 1 });
  if (isFolder(file)) throw noFile();
  const { size, dlink } = file;
  const wanted = range && size !== undefined ? within(range, size) : range;
  if (dlink === undefined) throw baiduError('unavailable', 'gives no link for this file at the moment.', null, {});
  const ownHost = new URL(baidu.settings.pcsUrl).hostname;
  checkLink(dlink, ownHost);
  const expectedBytes = size === undefined ? undefined : wanted?.end != null ? wanted.end - wanted.start + 1 : size;
  const { body } = await baidu.send(
    {
      method: 'GET',
      url: dlink,
      endpoint: 'download',
      as: 'stream',
      idempotent: true,
      range: wanted,
      ...(expectedBytes === undefined ? {} : { expectedBytes }),
      redirects: {
        hosts: BAIDU_HOST.test(ownHost) ? DOWNLOAD_HOSTS : [...DOWNLOAD_HOSTS, ownHost],
        keepHeaders: ['user-agent'],
      },
    },
    call,
  );
  return body;
}

const noFile = () => baiduError('wrong_kind', 'has a folder there, which has no bytes.', null, {});

/** The range with both its ends. @throws DriveError `invalid_argument` */
function within({ start, end }: ByteRange, size: number): { readonly start: number; readonly end: number } {
  const last = Math.min(end ?? size - 1, size - 1);
  const isRange = Number.isSafeInteger(start) && start >= 0 && start < size && last >= start;
  if (!isRange || (end !== null && (!Number.isSafeInteger(end) || end < start))) {
    throw invalid(`has a file of ${size} bytes there, which does not hold this range.`);
  }
  return { start, end: last };
}

/** The token goes with the link: to Baidu's own hosts only, or to what stands in their place. */
function checkLink(dlink: string, ownHost: string): void {
  const host = URL.parse(dlink)?.hostname ?? '';
  if (host === ownHost || BAIDU_HOST.test(host)) return;
  throw baiduError('permission_denied', 'gave a link to a host that is not its own.', null, {});
}
