import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DriveErrorCategory } from '../../src/drives/errors.ts';
import type { Fault } from '../../src/drives/shared/fixture.ts';
import { bytesOf, failure, type Subject } from './subject.ts';

/** The same fault is the same error on every drive, once the tries are used up. */
const FAULT_ERRORS: Readonly<Partial<Record<Fault, DriveErrorCategory>>> = {
  server_error: 'unavailable',
  html: 'unavailable',
  cut: 'unavailable',
  rate_limited: 'rate_limited',
  revoked: 'unauthenticated',
};
/** Faults that pass: one of them is not seen by the caller. */
const PASSING: readonly Fault[] = ['server_error', 'cut', 'rate_limited', 'rate_limited_with_delay', 'expired_token'];

/** A provider that fails is told as it is, and never as an empty folder. */
export function faultsSuite(drive: Subject): void {
  const { faults } = drive.fixture;
  const lacks = (fault: Fault): string | false =>
    faults?.supported.has(fault) ? false : `this provider never shows ${fault}`;
  const unfailing = faults ? false : 'no provider stands behind this drive';

  describe('a provider that fails', { skip: unfailing }, () => {
    for (const [fault, category] of Object.entries(FAULT_ERRORS) as [Fault, DriveErrorCategory][]) {
      it(`answers ${fault} to every try: ${category}`, { skip: lacks(fault) }, async () => {
        faults?.arm(fault);
        try {
          await failure(drive.look(), category);
        } finally {
          faults?.clear();
        }
      });
    }

    for (const fault of PASSING) {
      it(`answers ${fault} once, and then as it should`, { skip: lacks(fault) }, async () => {
        const folder = await drive.newFolder();
        await drive.put(folder.ref, 'here.txt');
        faults?.arm(fault, 1);
        assert.deepEqual(await drive.seen(folder.ref, 'here'), ['here.txt']);
      });
    }

    it('lets one refresh of the token serve many callers', { skip: lacks('expired_token') }, async () => {
      faults?.arm('expired_token');
      const before = faults?.requests ?? 0;
      const listed = await Promise.all(Array.from({ length: 10 }, () => drive.look()));
      assert.equal(listed.length, 10);
      assert.ok((faults?.requests ?? 0) - before <= 21, 'ten refused, one refresh, ten answered');
      faults?.clear();
    });

    it('is not waited for when the caller goes away', { skip: lacks('hang') }, async () => {
      faults?.arm('hang');
      const gone = new AbortController();
      const listed = drive.look({ signal: gone.signal });
      setImmediate(() => gone.abort());
      await failure(listed, 'cancelled');
      faults?.clear();
    });

    it('may not answer a range with the whole file', { skip: lacks('range_ignored') }, async () => {
      const { ref } = await drive.put((await drive.newFolder()).ref, 'file.bin', bytesOf(1000, 'range'));
      faults?.arm('range_ignored', 1);
      const read = drive.content(ref, 10, 19).then((bytes) => assert.equal(bytes.length, 10));
      await read.catch((error: unknown) => failure(Promise.reject(error), 'corrupted'));
      faults?.clear();
    });
  });
}
