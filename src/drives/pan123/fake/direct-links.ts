import { type Entry, inBin } from './tree.ts';
import { type Asked, type Endpoint, Refusal } from './wire.ts';
import type { World } from './world.ts';

/** Direct links: of files below a folder whose space was enabled, for accounts that bought them. */
export function directLinkEndpoints(world: World, linkTo: (bytes: Buffer) => string) {
  const enabled = new Set<Entry>();
  const isEnabled = (entry: Entry | null): boolean => entry !== null && (enabled.has(entry) || isEnabled(entry.parent));

  const url = ({ user, values }: Asked) => {
    if (!world.settings.directLinks) throw new Refusal(403, '未开通直链权益');
    const entry = user.tree.get(values.id('fileID'));
    if (!entry || inBin(entry)) throw new Refusal(5066, '文件不存在');
    if (!entry.content) throw new Refusal(1, '文件夹没有直链');
    if (!isEnabled(entry.parent)) throw new Refusal(403, '该文件不在直链空间');
    return { url: linkTo(entry.content.bytes) };
  };

  const endpoints: Endpoint[] = [
    { role: 'api', verb: 'GET', path: '/api/v1/direct-link/url', auth: 'token', params: 'fileID:int!', handle: url },
  ];
  return { endpoints, enable: (folder: Entry) => void enabled.add(folder) };
}
