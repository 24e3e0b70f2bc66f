import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { DriveError } from '../drives/errors.ts';
import { nameOf, type RemoteFiles, urlSource } from './url-source.ts';

type Answer = Awaited<ReturnType<RemoteFiles['open']>>;
type Asked = Parameters<RemoteFiles['open']>[0];

const HOUR_MS = 3_600_000;

/** What the source makes of an answer, and what it asked for. */
async function opened(
  answer: Partial<Answer> | ((asked: Asked) => Promise<Answer>),
  given: { offset?: number; version?: string; named?: boolean; bytesMax?: number; timeMaxMs?: number } = {},
) {
  const asked: Asked[] = [];
  const whole = { body: Readable.from(['x']), start: 0, totalBytes: null, validator: null, names: [], mimeType: null };
  const open = urlSource({
    remoteFiles: {
      open: async (request) => {
        asked.push(request);
        return typeof answer === 'function' ? answer(request) : { ...whole, ...answer };
      },
    },
    addressOf: ({ sealed }) => ({ url: `https://${sealed}/`, headers: { 'x-link-key': 'key' } }),
    bytesMax: given.bytesMax ?? 1_000,
    timeMaxMs: given.timeMaxMs ?? HOUR_MS,
  });
  const source = await open({
    source: { type: 'url', named: given.named ?? false },
    ...{ transferId: 'transfer', userId: 'user', sealed: 'a.test' },
    ...{ offset: given.offset ?? 0, version: given.version ?? null, sizeBytes: null },
    call: { signal: new AbortController().signal },
  });
  return { source, asked };
}

const failing =
  (category: 'unauthenticated' | 'unavailable' | 'not_found', providerCode: string | null = null) =>
  () =>
    Promise.reject(new DriveError(category, 'It failed.', { provider: 'URL', providerCode }));

describe('an address as a source', () => {
  it('gives what it is called and how it can be gone on with', async () => {
    const { source, asked } = await opened({
      totalBytes: 10,
      validator: '"v1"',
      names: ['../', 'b.txt'],
      mimeType: 'Text/Plain; charset=x',
    });
    assert.deepEqual([source.version, source.sizeBytes, source.name], ['10 "v1"', 10, 'b.txt']);
    assert.equal(source.mimeType, 'text/plain');
    const [{ url, headers, from } = {} as Asked] = asked;
    assert.deepEqual([url, headers, from], ['https://a.test/', { 'x-link-key': 'key' }, null]);
    assert.equal((await opened({ names: ['b.txt'] }, { named: true })).source.name, undefined);
  });

  it('is gone on with by what it gave before', async () => {
    for (const [version, from] of [
      ['10 "v1"', { offset: 4, validator: '"v1"', totalBytes: 10 }],
      ['? Fri, 20 Nov 2026 08:00:00 GMT', { offset: 4, validator: 'Fri, 20 Nov 2026 08:00:00 GMT', totalBytes: null }],
      ['of another source', null],
    ] as const) {
      const { asked } = await opened({ start: 4 }, { offset: 4, version });
      assert.deepEqual(asked[0]?.from, from, version);
    }
    assert.equal((await opened({}, { offset: 0, version: '10 "v1"' })).asked[0]?.from, null);
  });

  it('is refused where it tells that it is too large, and bounded where it does not', async () => {
    const body = Readable.from(['x']);
    await assert.rejects(opened({ totalBytes: 1_001, body }), { code: 'TOO_LARGE' });
    assert.ok(body.destroyed, 'its connection is free');
    assert.equal((await opened({ totalBytes: 1_000 })).source.bytesMax, 1_000);
    assert.equal((await opened({})).source.bytesMax, 1_000);
  });

  it('ends after its time, and is not tried again', async () => {
    const never = ({ signal }: Asked): Promise<Answer> =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    await assert.rejects(opened(never, { timeMaxMs: 1 }), { category: 'timeout', retryable: false });
    let signal: AbortSignal | null = null;
    const slow = async (asked: Asked): Promise<Answer> => {
      signal = asked.signal;
      const body = new Readable({ read: () => {}, signal: asked.signal });
      return { body, start: 0, totalBytes: null, validator: null, names: [], mimeType: null };
    };
    const { source } = await opened(slow, { timeMaxMs: 1 });
    await assert.rejects(buffer(source.body));
    assert.equal((signal as AbortSignal | null)?.reason.category, 'timeout');
  });

  it('that asks for a sign-in, or is no server, fails for good and says nothing of accounts', async () => {
    await assert.rejects(opened(failing('unauthenticated')), { code: 'PERMISSION_DENIED', retryable: false });
    await assert.rejects(opened(failing('unavailable', 'ENOTFOUND')), { code: 'NOT_FOUND', retryable: false });
    await assert.rejects(opened(failing('unavailable', 'ECONNREFUSED')), { category: 'unavailable', retryable: true });
  });

  it('without a name is called by its type', () => {
    assert.equal(nameOf([], 'application/pdf'), 'download.pdf');
    assert.equal(nameOf(['..', ''], 'image/png'), 'download.png');
    assert.equal(nameOf(['a'], 'image/png'), 'a');
    assert.equal(nameOf([], null), 'download');
  });
});
