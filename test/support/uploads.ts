import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { encodeEntryId } from '../../src/graph/ids.ts';
import type { TestApp } from './app.ts';
import type { Person } from './people.ts';
import { openSse } from './transports.ts';

const USER_ERROR = `... on UserError { __typename code message retryable }
  ... on InvalidInputError { issues { path message } } ... on AlreadyExistsError { existing { id name } }`;

export const TRANSFER = `id kind state phase route name bytesTotal bytesDone bytesPerSecond attempts
  createdAt startedAt finishedAt expiresAt error { ${USER_ERROR} } entry { id name ... on File { size } }`;

const mutation = (field: string, input: string, payload: string, errors = USER_ERROR): string =>
  `mutation ($input: ${input}!) { result: ${field}(input: $input) { __typename ${payload} ${errors} } }`;

const START = mutation(
  'startUpload',
  'StartUploadInput',
  `... on StartUploadPayload { transfer { ${TRANSFER} } uploadUrl chunkSize expiresAt }`,
);
const TEXT = mutation('uploadText', 'UploadTextInput', `... on UploadTextPayload { transfer { ${TRANSFER} } }`);
export const FILE = mutation('uploadFile', 'UploadFileInput', `... on UploadFilePayload { transfer { ${TRANSFER} } }`);

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

export const rootOf = ({ accountRowId }: Person): { id: string } => ({
  id: encodeEntryId('FOLDER', accountRowId, accountRowId),
});

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

async function mutate(app: TestApp, person: Person, document: string, input: object): Promise<Answer> {
  const { data, errors } = await app.graphql(document, { input }, person.token);
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data.result;
}

const FROM_URL = mutation(
  'uploadFromUrl',
  'UploadFromUrlInput',
  `... on UploadFromUrlPayload { transfer { ${TRANSFER} } }`,
);
const IMPORT = mutation(
  'importServerFile',
  'ImportServerFileInput',
  `... on ImportServerFilePayload { transfer { ${TRANSFER} } }`,
);
export const BATCH_FIELDS = `id total succeeded failed done items { index transfer { ${TRANSFER} } error { ${USER_ERROR} } }`;
const BATCH = mutation('uploadBatch', 'UploadBatchInput', `... on UploadBatchPayload { batch { ${BATCH_FIELDS} } }`);

/** Into the root, where the input names no parent. */
export const startUpload = (app: TestApp, person: Person, input: object): Promise<Answer> =>
  mutate(app, person, START, { parent: rootOf(person), name: 'file.bin', ...input });

export const uploadText = (app: TestApp, person: Person, input: object): Promise<Answer> =>
  mutate(app, person, TEXT, { parent: rootOf(person), name: 'note.txt', ...input });

export const uploadFromUrl = (app: TestApp, person: Person, input: object): Promise<Answer> =>
  mutate(app, person, FROM_URL, { parent: rootOf(person), ...input });

export const importServerFile = (app: TestApp, person: Person, input: object): Promise<Answer> =>
  mutate(app, person, IMPORT, { parent: rootOf(person), ...input });

export const uploadBatch = (app: TestApp, person: Person, input: object): Promise<Answer> =>
  mutate(app, person, BATCH, input);

export const control = (
  app: TestApp,
  person: Person,
  action: 'pause' | 'resume' | 'cancel' | 'retry',
  id: string,
): Promise<Answer> =>
  mutate(
    app,
    person,
    mutation(
      `${action}Transfer`,
      'TransferInput',
      `... on TransferPayload { transfer { ${TRANSFER} } }`,
      '... on UserError { code message retryable }',
    ),
    { id },
  );

export async function transferOf(app: TestApp, person: Person, id: string): Promise<Answer> {
  const { data, errors } = await app.graphql(
    `query ($id: ID!) { node(id: $id) { ... on Transfer { ${TRANSFER} } } }`,
    { id },
    person.token,
  );
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data.node;
}

/** The transfer at its end. */
export async function settled(app: TestApp, person: Person, id: string): Promise<Answer> {
  const query = `subscription ($id: ID!) { transferUpdated(id: $id) { ${TRANSFER} } }`;
  let last: Answer = null;
  for await (const { data, errors } of openSse(app.url, { query, variables: { id }, token: person.token })) {
    assert.equal(errors, undefined, JSON.stringify(errors));
    last = data.transferUpdated;
  }
  return last;
}

/** What `look` gives as soon as it is as wanted; it looks again after each change of a transfer. */
export async function untilChanged<Row>(
  { app }: TestApp,
  look: () => Promise<Row>,
  isWanted: (row: Row) => boolean,
): Promise<Row> {
  const changes = app.events.subscribe('transfer.changed');
  try {
    for (;;) {
      const row = await look();
      if (isWanted(row)) return row;
      await changes.next();
    }
  } finally {
    await changes.return?.();
  }
}

/** The whole bytes of a file, through its drive. */
export async function bytesOf(app: TestApp, person: Person, path: string): Promise<Buffer | null> {
  const { driver } = await app.app.services.accounts.openForUser(person.userId, person.accountRowId);
  const call = { signal: new AbortController().signal };
  try {
    const { ref } = (await driver.resolve?.(path.split('/').slice(1), call)) ?? { ref: '' };
    return Buffer.concat(await (await driver.read(ref, null, call)).toArray());
  } catch (error) {
    if ((error as { category?: string }).category === 'not_found') return null;
    throw error;
  }
}

/** Names in the root. */
export async function namesOf(app: TestApp, person: Person): Promise<string[]> {
  const query = '{ viewer { accounts(first: 1) { nodes { root { children(first: 100) { nodes { name } } } } } } }';
  const { data } = await app.graphql(query, {}, person.token);
  return data.viewer.accounts.nodes[0].root.children.nodes.map(({ name }: { name: string }) => name);
}

/** A request as a tus client makes it; headers may be overridden, or left out by undefined. */
export async function tus(
  method: string,
  url: string,
  headers: Readonly<Record<string, string | undefined>> = {},
  body?: BodyInit | Uint8Array,
): Promise<Response> {
  const all: Readonly<Record<string, string | undefined>> = {
    'tus-resumable': '1.0.0',
    ...(method === 'PATCH' ? { 'content-type': 'application/offset+octet-stream' } : {}),
    ...headers,
  };
  const given = Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return fetch(url, {
    method,
    headers: Object.fromEntries(given),
    ...(body === undefined ? {} : { body: body as BodyInit, duplex: 'half' }),
  } as RequestInit);
}

export const patch = (
  url: string,
  offset: number | string,
  bytes: Uint8Array | ReadableStream,
  headers: Readonly<Record<string, string | undefined>> = {},
): Promise<Response> => tus('PATCH', url, { 'upload-offset': String(offset), ...headers }, bytes as Uint8Array);

/** Upload-Metadata. */
export const metadata = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',');
