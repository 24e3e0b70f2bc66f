import { join } from 'node:path';
import { Api } from '../demo/api.ts';
import { freePort } from '../demo/process.ts';
import { createApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { createLog } from '../src/lib/log.ts';
import type { Bench, BenchContext, BenchResult } from './bench.ts';
import { type Comparison, compare, interleave, type Measure, median, type Sample } from './measure.ts';
import { seedFolder } from './seed.ts';

const MANY = 50_000;
const FEW = 200;
const SORTS = ['NAME', 'SIZE', 'MODIFIED_AT'] as const;
/** Timed requests in each round: a median of so few milliseconds each needs some. */
const REQUESTS = 40;

const PAGE = `query ($id: ID!, $orderBy: EntryOrder!) {
  node(id: $id) { ... on Folder { children(first: 100, orderBy: $orderBy) { nodes { name size id modifiedAt } } } }
}`;

/** The same page of a large and of a small folder. */
export const listing: Bench = {
  name: 'listing',
  title: 'Large folders',
  about: `The first page of 100 of a folder of ${MANY} entries, against that of one of ${FEW}: statements and rows of the whole request, its session included, and the time that it takes. That each statement reads no more than its page from an index is tested in \`src/drives/local/scale.test.ts\`.`,
  ours: `${MANY} entries`,
  control: `${FEW} entries`,
  run: runListing,
};

async function runListing({ folder, quick, signal }: BenchContext): Promise<BenchResult> {
  let statements = 0;
  let rows = 0;
  await using stack = new AsyncDisposableStack();
  const app = await createApp(
    loadConfig({ NODE_ENV: 'test', DATA_DIR: join(folder, 'data'), LOG_LEVEL: 'warn' }),
    createLog({ level: 'warn' }),
    {
      onQuery: (statement) => {
        statements += 1;
        rows += Number(/, (\d+) results?\]/.exec(statement)?.[1] ?? 0);
      },
    },
  );
  stack.defer(() => app.close());
  const port = await freePort();
  await new Promise<void>((resolve) => app.server.listen(port, '127.0.0.1', resolve));
  const api = new Api(`http://127.0.0.1:${port}`);
  await register(api, signal);
  const many = await seedFolder(app.storage, 'many', MANY);
  const few = await seedFolder(app.storage, 'few', FEW);

  const page = async (id: string, orderBy: object): Promise<Sample> => {
    const times: number[] = [];
    for (let request = 0; request < (quick ? REQUESTS / 4 : REQUESTS); request += 1) {
      [statements, rows] = [0, 0];
      const startedMs = performance.now();
      await api.query(PAGE, { id, orderBy }, signal);
      times.push(performance.now() - startedMs);
    }
    return { statements, rows, ms: median(times) };
  };

  const comparisons: Comparison[] = [];
  for (const by of SORTS) {
    for (const direction of ['ASC', 'DESC'] as const) {
      const order = { by, direction };
      const samples = await interleave(
        quick ? 1 : 3,
        () => page(many, order),
        () => page(few, order),
      );
      comparisons.push(...compare(measuresOf(`${by} ${direction}`), samples));
    }
  }
  return { comparisons, notes: [] };
}

async function register(api: Api, signal: AbortSignal): Promise<void> {
  const { session } = await api.mutate<{ session: { accessToken: string } }>(
    'register',
    { username: 'bench', password: crypto.randomUUID() },
    'session { accessToken }',
    signal,
  );
  api.token = session.accessToken;
}

const measuresOf = (order: string): readonly Measure[] => [
  { key: 'statements', title: `${order}: statements`, unit: '', bar: { atMost: 1 } },
  { key: 'rows', title: `${order}: rows`, unit: '', bar: { atMost: 1 } },
  { key: 'ms', title: `${order}: time`, unit: 'ms', bar: { atMost: 1.5 } },
];
