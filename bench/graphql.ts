import { Api } from '../demo/api.ts';
import type { Bench, BenchContext, BenchResult } from './bench.ts';
import { type Load, load, loadedBy } from './load.ts';
import { type Comparison, compare, interleave, type Sample, timed } from './measure.ts';
import { type ControlServer, type OurServer, startControl, startOurs } from './processes.ts';
import { openStorageIn, seedFolder } from './seed.ts';

const PAGE = `query ($id: ID!) {
  node(id: $id) { ... on Folder { children(first: 100) { nodes { name size id modifiedAt } } } }
}`;

interface Duel {
  readonly title: string;
  readonly ours: { readonly query: string; readonly variables?: object; readonly token: string | null };
  readonly control: string;
  /** Our requests in a second to the control's. */
  readonly atLeast?: number;
}

/** Operations over HTTP, against Yoga alone. */
export const graphql: Bench = {
  name: 'graphql',
  title: 'Operations',
  about:
    'GraphQL over HTTP POST, 16 connections, against a bare Yoga of the same versions that says hello, or gives a list of 100 from memory. PanQL reads its page from SQLite, checks the session of each request in the database, and holds the operation to its limits.',
  control: 'bare Yoga',
  run: runGraphql,
};

async function runGraphql(context: BenchContext): Promise<BenchResult> {
  await using stack = new AsyncDisposableStack();
  const ours = await startOurs(context);
  stack.defer(() => ours.stop());
  const control = await startControl('yoga', context);
  stack.defer(() => control.stop());
  const storage = await openStorageIn(ours.dataDir);
  const id = await seedFolder(storage, 'hundred', 100);
  await storage.close();

  const { token } = ours.api;
  const duels: readonly Duel[] = [
    {
      title: '{ __typename }, nobody signed in',
      ours: { query: '{ __typename }', token: null },
      control: '{ hello }',
      atLeast: 0.8,
    },
    { title: '{ __typename }, signed in', ours: { query: '{ __typename }', token }, control: '{ hello }' },
    {
      title: 'a folder page of 100',
      ours: { query: PAGE, variables: { id }, token },
      control: '{ rows { name size id modifiedAt } }',
      atLeast: 0.5,
    },
  ];
  const comparisons: Comparison[] = [];
  for (const duel of duels) comparisons.push(...(await run(duel, ours, control, context)));
  return { comparisons, notes: [`Load by ${loadedBy}.`] };
}

async function run(duel: Duel, ours: OurServer, control: ControlServer, context: BenchContext): Promise<Comparison[]> {
  const { query, variables, token } = duel.ours;
  const api = new Api(ours.url);
  api.token = token;
  await api.query(query, variables, context.signal); // Throws on an error, which would be fast.
  const seconds = context.quick ? 1 : 4;
  const json = { 'Content-Type': 'application/json' };
  const samples = await interleave(
    context.quick ? 1 : 3,
    () => {
      const headers = { ...json, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
      return ask(
        ours.pid,
        { url: `${ours.url}/graphql`, headers, body: JSON.stringify({ query, variables }), seconds },
        context,
      );
    },
    () => {
      const body = JSON.stringify({ query: duel.control });
      return ask(control.pid, { url: `${control.url}/graphql`, headers: json, body, seconds }, context);
    },
  );
  const bar = duel.atLeast === undefined ? {} : { bar: { atLeast: duel.atLeast } };
  return compare(
    [
      { key: 'perSecond', title: duel.title, unit: 'requests/s', ...bar },
      { key: 'cpuUs', title: `${duel.title}: CPU of the server for each`, unit: 'µs' },
      { key: 'p99Ms', title: `${duel.title}: 99 % within`, unit: 'ms' },
    ],
    samples,
  );
}

async function ask(pid: number, what: Load, { folder, signal }: BenchContext): Promise<Sample> {
  const { result, cpuMs } = await timed(pid, () => load(what, folder, signal));
  return { perSecond: result.perSecond, p99Ms: result.p99Ms, cpuUs: (cpuMs * 1000) / result.requests };
}
