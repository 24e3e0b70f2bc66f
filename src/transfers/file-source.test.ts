import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { fileSource } from './file-source.ts';
import { ServerFiles } from './server-files.ts';

describe('a file of the server as a source', () => {
  let folder: string;
  let path: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'panql-import-'));
    path = join(folder, 'file');
    await writeFile(path, '0123456789');
  });
  after(() => rm(folder, { recursive: true }));

  const open = (given: { offset?: number; version?: string | null; admin?: boolean } = {}) =>
    fileSource({ serverFiles: new ServerFiles([folder]), mayImport: async () => given.admin ?? true })({
      ...{ source: { type: 'file', path }, transferId: 'transfer', userId: 'user', sealed: null },
      ...{ offset: given.offset ?? 0, version: given.version ?? null, sizeBytes: null },
      call: { signal: new AbortController().signal },
    });

  it('goes on where it was, as long as it is the same', async () => {
    const { version, sizeBytes, body } = await open();
    assert.equal(sizeBytes, 10);
    assert.equal(String(await buffer(body)), '0123456789');
    const rest = await open({ offset: 4, version });
    assert.deepEqual([rest.offset, String(await buffer(rest.body))], [4, '456789']);
    await appendFile(path, 'ab');
    const anew = await open({ offset: 4, version });
    assert.deepEqual([anew.offset, anew.sizeBytes, String(await buffer(anew.body))], [0, 12, '0123456789ab']);
  });

  it('is not read for somebody who is no administrator any more', async () => {
    await assert.rejects(open({ admin: false }), { code: 'PERMISSION_DENIED' });
  });
});
