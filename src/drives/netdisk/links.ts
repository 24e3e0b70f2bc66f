import { createHash } from 'node:crypto';
import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import type { Shares } from '../contract/shares.ts';
import type { CallContext, Driver } from '../driver.ts';
import { type NetdiskClient, parsed } from './client.ts';
import { invalid } from './errors.ts';

/** As long as the server's own default. */
const LINK_SECONDS = 15 * 60;
const DAY_SECONDS = 86_400;
/** What the specification recommends for a link that is to last for ever: some hundred years. */
const FOR_EVER_SECONDS = 300 * 365 * DAY_SECONDS;

const LINK = z.object({ data: z.object({ downloadURL: z.url({ protocol: /^https?$/ }), key: z.string().nullish() }) });

/** A name of the machine itself: it leads everybody else to their own. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** A link as others can follow it: a server that knows itself as 127.0.0.1 is at the address that it was linked by. */
export function reachable(link: string, baseUrl: string): string {
  const url = new URL(link);
  const base = URL.parse(baseUrl);
  if (!base || !LOOPBACK.test(url.hostname) || LOOPBACK.test(base.hostname)) return link;
  return base.origin + url.pathname + url.search;
}

/** The server's own links to one file, for who has no account there; with a key, a share. */
export const createLinks = (netdisk: NetdiskClient) => {
  const link = async (ref: string, seconds: number, key: string | null, call: CallContext) => {
    const file = await netdisk.file(ref, call);
    const { body } = await netdisk.send(
      {
        method: 'GET',
        url: '/api/shareFile',
        query: { destination: file.ref, time: seconds, key },
        endpoint: 'change',
        as: 'json',
        idempotent: false,
      },
      call,
    );
    const { downloadURL, key: chosen } = parsed(LINK, body).data;
    return { downloadURL: reachable(downloadURL, netdisk.account.settings.baseUrl ?? ''), key: chosen };
  };

  const shares: Shares = {
    async create(refs, { days, password, remark, ticket }, call) {
      const [ref, ...others] = refs;
      if (ref === undefined || others.length > 0) throw invalid('shares one file by a link, not several.');
      if (remark !== null || ticket !== null) throw invalid('keeps no remark and no ticket with a share.');
      const { downloadURL, key } = await link(
        ref,
        days === null ? FOR_EVER_SECONDS : days * DAY_SECONDS,
        password,
        call,
      );
      const createdAt = netdisk.now();
      return {
        ref: createHash('sha256').update(downloadURL).digest('base64url'),
        url: downloadURL,
        password: key ?? password,
        remark: null,
        createdAt,
        // Not as the server tells it: its time has no zone.
        expiresAt: days === null ? null : addMs(createdAt, days * DAY_SECONDS * 1000),
        active: true,
      };
    },

    /** What the copy is called, the server does not tell. */
    async save(url, password, parentRef, call) {
      if (password !== null) throw invalid('takes no key when it saves a link.');
      const folder = await netdisk.folder(parentRef, call);
      const multipart = [
        { name: 'destination', value: folder.ref },
        { name: 'url', value: url },
      ];
      const request = { method: 'POST', url: '/api/storage', body: { multipart }, endpoint: 'change' } as const;
      await netdisk.send({ ...request, as: 'json', idempotent: false, hidden: true }, call);
      return [];
    },
  };

  return {
    async link(ref, call) {
      const { downloadURL } = await link(ref, LINK_SECONDS, null, call);
      return { url: downloadURL, headers: {}, expiresAt: addMs(netdisk.now(), LINK_SECONDS * 1000) };
    },
    shares,
  } satisfies Partial<Driver>;
};
