import type { Api } from './api.ts';
import { download } from './download.ts';
import type { LocalFile } from './file.ts';
import { bytes, duration } from './format.ts';
import { say } from './say.ts';
import { watchTransfer } from './watch.ts';

/** A drive that has the file. */
export interface Stop {
  readonly title: string;
  readonly rootId: string;
  readonly entryId: string;
}

interface Planned {
  readonly route: string | null;
  readonly bytesThroughServer: number | null;
}

/**
 * The file goes from drive to drive and comes back to the first, each time by the best way that there is; at last a copy
 * within one account. Every way is planned before, and told with its reason after.
 * @throws Error at the first copy that fails, and when the bytes that come back are others.
 */
export async function goAround(api: Api, stops: readonly Stop[], file: LocalFile, signal: AbortSignal): Promise<void> {
  const [first, second] = stops;
  if (!first || !second) return;
  process.stdout.write('\nOne file across all drives\n');
  let entryId = first.entryId;
  let from = first;
  for (const to of [...stops.slice(1), first]) {
    entryId = await copy(api, { entryId, from, to }, signal);
    from = to;
  }
  await copy(api, { entryId: second.entryId, from: second, to: second }, signal);

  const { ticket } = await api.mutate<{ ticket: { url: string } }>(
    'createDownloadTicket',
    { file: { id: entryId } },
    'ticket { url }',
    signal,
  );
  const { sha256 } = await download('download', ticket.url, signal);
  const isEqual = sha256 === file.sha256;
  say('sha-256', `${sha256}  after ${stops.length} drives: ${isEqual ? 'equal' : 'DIFFERENT'}`);
  if (!isEqual) throw new Error('The bytes that came back are not those of the file.');
}

interface Step {
  readonly entryId: string;
  readonly from: Stop;
  readonly to: Stop;
}

/** Gives the id of the copy. */
async function copy(api: Api, { entryId, from, to }: Step, signal: AbortSignal): Promise<string> {
  const startedMs = performance.now();
  const entries = [{ id: entryId }];
  const { planCopy } = await api.query<{ planCopy: Planned[] }>(
    `query ($entries: [EntryRef!]!, $destination: EntryRef!) {
      planCopy(entries: $entries, destination: $destination, onConflict: RENAME) { route bytesThroughServer }
    }`,
    { entries, destination: { id: to.rootId } },
    signal,
  );
  const { results } = await api.mutate<{ results: Result[] }>(
    'copyEntries',
    { entries, destination: { id: to.rootId }, onConflict: 'RENAME' },
    'results { entry { id } transfer { id } error { code message } }',
    signal,
  );
  const [result] = results;
  if (result?.error) throw new Error(`copyEntries: ${result.error.message} (${result.error.code})`);
  const done = result?.transfer ? await watchTransfer(api, result.transfer.id, null, signal) : null;
  const id = done?.entryId ?? result?.entry?.id;
  if (id === undefined) throw new Error('The copy is nowhere.');
  const [plan] = planCopy;
  const planned =
    plan?.bytesThroughServer == null
      ? ''
      : `, planned ${plan.route} with ${bytes(plan.bytesThroughServer)} by this server`;
  say(
    'copy',
    `${from.title} → ${to.title}: ${done?.route ?? 'SERVER_SIDE'} in ${duration(performance.now() - startedMs)}${planned}`,
  );
  if (done?.routeReason) say('', `${done.routeReason} Verified: ${done.verification ?? 'not at all'}.`);
  return id;
}

interface Result {
  readonly entry: { readonly id: string } | null;
  readonly transfer: { readonly id: string } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}
