import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { byteDrive } from '../../test/support/byte-drive.ts';
import type { Driver } from '../drives/driver.ts';
import { CancelledError } from '../lib/errors.ts';
import { PLAN_LIMITS, PlanBudget } from './copy-plan-budget.ts';
import type { CopyEnds } from './copy-rules.ts';
import { surveyTree } from './copy-surveys.ts';

const CALL = { signal: new AbortController().signal };

describe('the survey of a folder', () => {
  const from = byteDrive({ pageMax: 10 });
  const account = from.account('from');
  for (let folder = 0; folder < 5; folder += 1) {
    for (let file = 0; file < 25; file += 1) account.put(`top/f${folder}/${file}`, 'xx');
  }
  const top = [...account.nodes.values()].find(({ entry }) => entry.name === 'top')?.entry.ref ?? '';
  const driver = from.driverOf('from');
  const ends = (source: Driver = driver): CopyEnds =>
    ({
      opened: { account: { id: 'from', provider: 'NETDISK' }, driver: source },
      folder: { account: { id: 'to', provider: 'BAIDU' }, driver: byteDrive({ id: 'BAIDU' }).driverOf('to') },
    }) as unknown as CopyEnds;
  const survey = async (limits: Partial<typeof PLAN_LIMITS>, source?: Driver, caller = CALL.signal) => {
    const budget = new PlanBudget(caller, { ...PLAN_LIMITS, ...limits });
    return surveyTree(ends(source), await driver.stat(top, CALL), budget);
  };

  it('is whole within its limits', async () => {
    const { totals, gap, parts } = await survey({});
    assert.deepEqual([gap, totals.files, totals.folders, totals.bytes, parts.length], [null, 125, 5, 250, 130]);
  });

  it('ends at so many entries, and tells of those', async () => {
    const { totals, gap, parts, bytesThroughServer } = await survey({ entries: 37 } as never);
    assert.deepEqual([gap, parts.length, totals.files, bytesThroughServer], ['ENTRIES', 37, 32, null]);
    assert.equal((await survey({ entries: 130 } as never)).gap, null);
  });

  it('ends at so many pages, and asks for no more', async () => {
    from.calls.length = 0;
    const { gap, parts } = await survey({ calls: 4 } as never);
    assert.deepEqual([gap, parts.length], ['PROVIDER_CALLS', 5 + 25]);
    assert.equal(from.calls.filter((act) => act === 'list').length, 4);
  });

  it('ends when its time is over, though the drive does not answer', async () => {
    let pages = 0;
    const slow: Driver = {
      ...driver,
      list: async (ref, options, page, call) => {
        pages += 1;
        if (pages <= 2) return (await driver.list?.(ref, options, page, call)) ?? assert.fail();
        await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
        throw new CancelledError('It was ended.');
      },
    };
    const { gap, parts } = await survey({ ms: 300 } as never, slow);
    assert.deepEqual([gap, parts.length], ['TIME', 5 + 10]);
  });

  it('ends with whoever asked for it', async () => {
    const gone = new AbortController();
    const slow: Driver = {
      ...driver,
      list: async () => {
        gone.abort();
        throw new CancelledError('It was ended.');
      },
    };
    await assert.rejects(survey({}, slow, gone.signal), { name: 'AbortError' });
  });
});
