import { PanqlClient } from './client.ts';
import type { DrivesQuery, TransferProgressFragment } from './generated/graphql.ts';
import { Drives, FolderPage, Register, StartUpload, TransferEvents } from './operations.ts';

type Drive = NonNullable<DrivesQuery['viewer']>['accounts']['nodes'][number];

/** Registers, and gives a client that is signed in. */
export async function register(endpoint: string, username: string, password: string): Promise<PanqlClient> {
  const client = new PanqlClient(endpoint);
  const { register: result } = await client.execute(Register, { input: { username, password } });
  if (result.__typename === 'InvalidInputError') {
    throw new Error(result.issues.map(({ path, message }) => `${path.join('.')} ${message}`).join('\n'));
  }
  if (result.__typename !== 'RegisterPayload') throw new Error(`${result.code}: ${result.message}`);
  client.signIn(result.session.accessToken);
  return client;
}

export async function drivesOf(client: PanqlClient): Promise<readonly Drive[]> {
  const { viewer } = await client.execute(Drives, { first: 10 });
  return viewer?.accounts.nodes ?? [];
}

/** The names in a folder, page by page. */
export async function* namesIn(client: PanqlClient, folderId: string): AsyncGenerator<string> {
  let after: string | null = null;
  do {
    const { node }: Awaited<ReturnType<typeof pageOf>> = await pageOf(client, folderId, after);
    if (node?.__typename !== 'Folder') return;
    for (const { name } of node.children.nodes) yield name;
    after = node.children.pageInfo.hasNextPage ? (node.children.pageInfo.endCursor ?? null) : null;
  } while (after !== null);
}

const pageOf = (client: PanqlClient, id: string, after: string | null) =>
  client.execute(FolderPage, { id, first: 50, after });

/** Sends bytes by tus 1.0, in one request; a larger file goes in chunks of `chunkSize`. */
export async function upload(
  client: PanqlClient,
  folderId: string,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<TransferProgressFragment> {
  const input = { parent: { id: folderId }, name, size: bytes.length };
  const { startUpload } = await client.execute(StartUpload, { input });
  if (startUpload.__typename === 'AlreadyExistsError') {
    throw new Error(`${startUpload.existing?.name ?? name} is there already.`);
  }
  if (startUpload.__typename !== 'StartUploadPayload') throw new Error(`${startUpload.code}: ${startUpload.message}`);
  if (startUpload.uploadUrl) {
    const response = await fetch(startUpload.uploadUrl, {
      method: 'PATCH',
      headers: {
        ...client.authorization,
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
      },
      body: bytes,
    });
    if (!response.ok) throw new Error(`The upload was refused: ${response.status}`);
  }
  return startUpload.transfer;
}

/** Waits until a transfer is done, telling its progress. */
export async function watch(
  client: PanqlClient,
  transferId: string,
  tell: (transfer: TransferProgressFragment) => void,
): Promise<TransferProgressFragment> {
  for await (const { transferEvents } of client.subscribe(TransferEvents, {})) {
    const { transfer } = transferEvents;
    if (transfer.id !== transferId) continue;
    tell(transfer);
    if (transfer.state === 'SUCCEEDED' || transfer.state === 'FAILED' || transfer.state === 'CANCELLED')
      return transfer;
  }
  throw new Error('The server ended the stream: connect again.');
}
