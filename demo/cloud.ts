import { basename } from 'node:path';
import type { Cloud, CodeLinking } from '../clouds/cloud.ts';
import type { Api } from './api.ts';
import type { Stop } from './copies.ts';
import { download } from './download.ts';
import type { LocalFile } from './file.ts';
import { bytes, duration, rate } from './format.ts';
import { say } from './say.ts';
import { upload } from './upload.ts';

interface LinkedAccount {
  readonly id: string;
  readonly label: string;
  readonly abilities: readonly string[];
  readonly root: { readonly id: string };
}

const ACCOUNT = 'account { id label abilities root { id } }';

/**
 * The same way in a cloud: its account is linked, the file goes up, stands in the list or is found, and comes down.
 * @throws Error at the first step that fails, and when the bytes that come down are others than those that went up.
 */
export async function visitCloud(api: Api, cloud: Cloud, file: LocalFile, signal: AbortSignal): Promise<Stop> {
  process.stdout.write(`\n${cloud.title}, an imitation of it\n`);
  const account = await link(api, cloud, signal);
  const { label, root } = account;
  say('linked', `the account "${label}"`);

  const name = basename(file.path);
  const { entryId, ms, route } = await upload(api, file, { parentId: root.id, name, signal });
  say('upload', `${duration(ms)}, ${rate(file.sizeBytes, ms)}; ${route}`);

  if (account.abilities.includes('LIST')) await showList(api, root.id, file, signal);
  else await showFound(api, account.id, name, signal);

  const { ticket } = await api.mutate<{ ticket: { url: string } }>(
    'createDownloadTicket',
    { file: { id: entryId } },
    'ticket { url }',
    signal,
  );
  const copy = await download('download', ticket.url, signal);
  say('download', `${bytes(copy.sizeBytes)} in ${duration(copy.ms)}, ${rate(copy.sizeBytes, copy.ms)}`);
  const isEqual = copy.sha256 === file.sha256;
  say('sha-256', `${copy.sha256}  from the cloud: ${isEqual ? 'equal' : 'DIFFERENT'}`);
  if (!isEqual) throw new Error(`The bytes that came from ${cloud.title} are not those of the file.`);
  return { title: cloud.title, rootId: root.id, entryId };
}

async function showList(api: Api, folderId: string, file: LocalFile, signal: AbortSignal): Promise<void> {
  const { node } = await api.query<{ node: { children: { nodes: { name: string; size: number | null }[] } } }>(
    'query ($id: ID!) { node(id: $id) { ... on Folder { children(first: 20) { nodes { name size } } } } }',
    { id: folderId },
    signal,
  );
  const listed = node.children.nodes;
  say('list', listed.map(({ name, size }) => (size === null ? `${name}/` : `${name} (${bytes(size)})`)).join(', '));
  if (!listed.some((entry) => entry.size === file.sizeBytes)) throw new Error('The list does not show the file.');
}

/** A cloud that lists no folders may find by name. */
async function showFound(api: Api, accountId: string, name: string, signal: AbortSignal): Promise<void> {
  const { search } = await api.query<{ search: { nodes: { path: string | null }[] } }>(
    'query ($name: String!, $ids: [ID!]) { search(query: $name, accountIds: $ids, first: 20) { nodes { path } } }',
    { name, ids: [accountId] },
    signal,
  );
  say('search', search.nodes.map(({ path }) => path).join(', '));
  if (!search.nodes.some(({ path }) => path === `/${name}`)) throw new Error('The search does not find the file.');
}

function link(api: Api, { provider, person, linking }: Cloud, signal: AbortSignal): Promise<LinkedAccount> {
  if (linking.method === 'DEVICE_CODE') return linkByCode(api, { provider, person }, linking, signal);
  const values = Object.entries(linking.values).map(([name, value]) => ({ name, value }));
  return api
    .mutate<{ account: LinkedAccount }>('linkWithCredentials', { provider, values }, ACCOUNT, signal)
    .then(({ account }) => account);
}

interface DeviceLink {
  readonly state: string;
  readonly account: LinkedAccount | null;
}

/** Follows the sign-in by WebSocket; the person answers when its state is first seen, as with a phone. */
async function linkByCode(
  api: Api,
  { provider, person }: Pick<Cloud, 'provider' | 'person'>,
  linking: CodeLinking,
  signal: AbortSignal,
): Promise<LinkedAccount> {
  const { deviceLink } = await api.mutate<{ deviceLink: { id: string; userCode: string | null } }>(
    'startDeviceLink',
    { provider },
    'deviceLink { id userCode }',
    signal,
  );
  say('sign-in', deviceLink.userCode === null ? 'by a QR code' : `by the code ${deviceLink.userCode}, or its QR code`);
  const code = linking.waiting().at(-1);
  if (code === undefined) throw new Error('The cloud knows of no sign-in.');

  const states = api.subscribe<{ deviceLinkUpdated: DeviceLink }>(
    `subscription ($id: ID!) { deviceLinkUpdated(id: $id) { state ${ACCOUNT} } }`,
    { id: deviceLink.id },
    signal,
  );
  for await (const { deviceLinkUpdated } of states) {
    const { state, account } = deviceLinkUpdated;
    if (account) {
      say('', state);
      return account;
    }
    const scans = state === 'PENDING' && linking.scan !== undefined;
    say('', `${state}${scans ? `; ${person} scans it` : `; ${person} confirms it`}`);
    if (scans) linking.scan?.(code);
    else linking.confirm(code);
  }
  signal.throwIfAborted();
  throw new Error('The sign-in ended without an account.');
}
