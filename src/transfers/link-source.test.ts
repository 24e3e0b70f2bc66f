import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { byteDrive } from '../../test/support/byte-drive.ts';
import { NotFoundError } from '../lib/errors.ts';
import { linkSource } from './link-source.ts';

const CALL = { signal: new AbortController().signal };

describe('a file behind a direct link as a source', () => {
  const drive = byteDrive({ hashes: ['MD5'] });
  const account = drive.account('owner');
  const ref = account.put('file', '0123456789');
  const starts: number[] = [];

  const open = (given: { offset?: number; version?: string | null; openLink?: () => Promise<never> } = {}) =>
    linkSource({
      openLink: async () => ({
        entry: await drive.driverOf('owner').stat(ref, CALL),
        read: async (start) => {
          starts.push(start);
          return Readable.from([account.nodes.get(ref)?.bytes?.subarray(start) ?? '']);
        },
      }),
      ...(given.openLink ? { openLink: given.openLink } : {}),
    })({
      ...{ source: { type: 'link', linkId: 'link' }, transferId: 'transfer', userId: 'saver', sealed: null },
      ...{ offset: given.offset ?? 0, version: given.version ?? null, sizeBytes: null },
      call: CALL,
    });

  it('goes on where it was, as long as it is the same, and tells by which hash to compare it', async () => {
    const { version, sizeBytes, hashes, body } = await open();
    assert.deepEqual([sizeBytes, hashes?.MD5], [10, '781e5e245d69b566979b86e28d23f2c7']);
    assert.equal(String(await buffer(body)), '0123456789');
    const rest = await open({ offset: 4, version });
    assert.deepEqual([rest.offset, String(await buffer(rest.body))], [4, '456789']);
    account.put('file', '0123456789ab');
    const anew = await open({ offset: 4, version });
    assert.deepEqual([anew.offset, anew.sizeBytes, String(await buffer(anew.body))], [0, 12, '0123456789ab']);
    assert.deepEqual(starts, [0, 4, 0]);
  });

  it('ends with its link', async () => {
    const openLink = (): Promise<never> => Promise.reject(new NotFoundError('This link was withdrawn.'));
    await assert.rejects(open({ offset: 4, openLink }), { code: 'NOT_FOUND' });
  });
});
