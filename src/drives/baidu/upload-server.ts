import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext } from '../driver.ts';
import type { BaiduClient } from './client.ts';

/** A constant of Baidu's, not the application's own number. */
const PCS_APP_ID = '250528';
/** An upload server is asked for again after this, however long Baidu says that it is good, in milliseconds. */
const VALID_MAX_MS = 60 * 60_000;

/** Where it does not say, it is asked again after this, in milliseconds. */
const UNLOCATED_MS = 60_000;

const LOCATED = z.object({
  servers: z.array(z.object({ server: z.string() })).catch([]),
  bak_servers: z.array(z.object({ server: z.string() })).catch([]),
  expire: z.coerce.number().min(0).catch(0),
});

interface Announced {
  readonly path: string;
  readonly uploadId: string;
}
export interface LocatedServers {
  /** The first is the one to take, the others are for when it fails. At least one. */
  readonly servers: string[];
  readonly serversUntilMs: number;
}

/** Servers tried for one slice, the usual one among them. */
const SERVERS_MAX = 4;

/** Where Baidu wants the slices, and the usual server after those; only that one when it does not say. */
export async function locateServers(
  baidu: BaiduClient,
  { path, uploadId }: Announced,
  call: CallContext,
): Promise<LocatedServers> {
  const { pcsUrl } = baidu.settings;
  const query = { method: 'locateupload', appid: PCS_APP_ID, path, uploadid: uploadId, upload_version: '2.0' };
  try {
    const answer = await baidu.get(LOCATED, 'locateupload', `${pcsUrl}/rest/2.0/pcs/file`, query, call);
    const named = [...answer.servers, ...answer.bak_servers]
      .map(({ server }) => server.replace(/\/+$/, ''))
      .filter((server) => isUploadServer(server, pcsUrl));
    const servers = [...new Set([...named.slice(0, SERVERS_MAX - 1), pcsUrl])];
    const validMs = Math.min(answer.expire * 1000, VALID_MAX_MS);
    return { servers, serversUntilMs: baidu.now().getTime() + validMs };
  } catch (error) {
    if (!(error instanceof DriveError) || call.signal.aborted || error.category === 'unauthenticated') throw error;
    return { servers: [pcsUrl], serversUntilMs: baidu.now().getTime() + UNLOCATED_MS };
  }
}

/** The servers of an upload that goes on; asked for again when those before may be gone. */
export const serversOf = async (
  baidu: BaiduClient,
  located: Announced & LocatedServers,
  call: CallContext,
): Promise<readonly string[]> =>
  baidu.now().getTime() < located.serversUntilMs
    ? located.servers
    : (await locateServers(baidu, located, call)).servers;

/** Slices carry the access token: they go to Baidu's own servers only, or to what stands in their place. */
export function isUploadServer(server: string, pcsUrl: string): boolean {
  const url = URL.parse(server);
  if (!url) return false;
  if (url.origin === new URL(pcsUrl).origin) return true;
  return url.protocol === 'https:' && url.hostname.endsWith('.pcs.baidu.com');
}
