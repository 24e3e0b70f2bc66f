/** A process that asks for 20 turns of a window that has 10 in an hour, and says how many it got. */
import { createLog } from '../../src/lib/log.ts';
import { systemTimer } from '../../src/lib/timer.ts';
import { perMinute } from '../../src/transport/limiter.ts';
import { SharedLimiter } from '../../src/transport/shared-limiter.ts';
import { TurnLedger } from '../../src/transport/turn-ledger.ts';
import { NoTurnError } from '../../src/transport/waiting-line.ts';
import { connectState } from './shared-states.ts';

const [accountId = '', settings = 'null'] = process.argv.slice(2);
const state = await connectState(JSON.parse(settings));
const log = createLog({ level: 'warn', stream: { write: (line) => void process.stderr.write(line) } });
const ledger = new TurnLedger({ state, log, timer: systemTimer, random: Math.random });
const rates = { list: { windows: [perMinute(10 / 60, 10)] } };
const limiter = new SharedLimiter({ accountId, rates, ledger, timer: systemTimer });
const { signal } = new AbortController();

const result = { given: 0, refused: 0 };
const asking = Array.from({ length: 20 }, async () => {
  try {
    (await limiter.acquire('list', { priority: 'interactive', waitMaxMs: 60_000, signal }))();
    result.given += 1;
  } catch (error) {
    if (!(error instanceof NoTurnError)) throw error;
    result.refused += 1;
  }
});
await Promise.all(asking);
await ledger.close();
process.stdout.write(JSON.stringify(result));
