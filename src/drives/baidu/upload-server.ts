import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import type { CallContext } from '../driver.ts';
import type { BaiduClient } from './client.ts';

/** A constant of Baidu's, not the application's own number. */
const PCS_APP_ID = '250528';
/** An upload server is asked for again after this, however long Baidu says that it is good, in milliseconds. */
const VALID_MAX_MS = 60 * 60_000;

const LOCATED = z.object({
  servers: z.array(z.object({ server: z.string() })).catch([]),
  bak_servers: z.array(z.object({ server: z.string() })).catch([]),
  expire: z.coerce.number().min(0).catch(0),
});

interface Announced {
  readonly path: string;
  readonly uploadId: string;
}
export interface LocatedServer {
  readonly server: string;
  readonly serverUntilMs: number;
}

/** The server that Baidu wants the slices on; the usual one when it does not say. */
export async function locateServer(
  baidu: BaiduClient,
  { path, uploadId }: Announced,
  call: CallContext,
): Promise<LocatedServer> {
  const { pcsUrl } = baidu.settings;
  const query = { method: 'locateupload', appid: PCS_APP_ID, path, uploadid: uploadId, upload_version: '2.0' };
  try {
    const answer = await baidu.get(LOCATED, 'locateupload', `${pcsUrl}/rest/2.0/pcs/file`, query, call);
    const servers = [...answer.servers, ...answer.bak_servers].map(({ server }) => server);
    const server = servers.find((candidate) => isUploadServer(candidate, pcsUrl)) ?? pcsUrl;
    const validMs = Math.min(answer.expire * 1000, VALID_MAX_MS);
    return { server: server.replace(/\/+$/, ''), serverUntilMs: baidu.now().getTime() + validMs };
  } catch (error) {
    if (!(error instanceof DriveError) || call.signal.aborted || error.category === 'unauthenticated') throw error;
    return { server: pcsUrl, serverUntilMs: baidu.now().getTime() };
  }
}

/** The server of an upload that goes on; asked for again when the one before may be gone. */
export const serverOf = async (
  baidu: BaiduClient,
  located: Announced & LocatedServer,
  call: CallContext,
): Promise<string> =>
  baidu.now().getTime() < located.serverUntilMs ? located.server : (await locateServer(baidu, located, call)).server;

/** Slices carry the access token: they go to Baidu's own servers only, or to what stands in their place. */
export function isUploadServer(server: string, pcsUrl: string): boolean {
  const url = URL.parse(server);
  if (!url) return false;
  if (url.origin === new URL(pcsUrl).origin) return true;
  return url.protocol === 'https:' && url.hostname.endsWith('.pcs.baidu.com');
}
