import type { DriveOfflineTask, OfflineAddResult, OfflineTasks } from '../../drives/contract/offline.ts';
import type { CallContext, Driver } from '../../drives/driver.ts';
import { DriveError, domainErrorOf } from '../../drives/errors.ts';
import type { Clock } from '../../lib/clock.ts';
import { AlreadyExistsError, type DomainError, ProviderError, UnavailableError } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { isUncertain } from '../../transfers/failures.ts';
import { keysOfTask, linkKey } from './links.ts';
import { LIST_PAGES_MAX, pagesOf } from './sync.ts';

/** What became of one link. */
export interface AddedLink {
  readonly url: string;
  readonly task: DriveOfflineTask | null;
  /** The task was there before. */
  readonly attached: boolean;
  readonly error: DomainError | null;
}

export interface Adding {
  readonly driver: Driver;
  readonly offline: OfflineTasks;
  readonly accountId: string;
  readonly title: string;
  readonly parentRef: string | null;
  /** An attempt before this one died: what it may have begun is looked for first. */
  readonly isRepeated: boolean;
  /** Whether a task that was there before may be told: on a shared account it may be another's. */
  readonly mayAttach: (task: DriveOfflineTask) => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly call: CallContext;
}

/** Failures that the next links would meet as well. */
const FOR_ALL: ReadonlySet<string> = new Set(['unauthenticated', 'rate_limited', 'blocked', 'unsupported']);

/**
 * Has a provider download links, as many at a time as it takes; gives a result for each, batch by batch. A link whose
 * answer was lost is looked for in the provider's own list before it is given up: it is never added a second time.
 */
export async function* addLinks(urls: readonly string[], adding: Adding): AsyncGenerator<readonly AddedLink[], void> {
  const { urlsMax } = adding.offline;
  let isRepeated = adding.isRepeated;
  for (let first = 0; first < urls.length; first += urlsMax) {
    const batch = urls.slice(first, first + urlsMax);
    const { results, stop } = await addBatch(batch, { ...adding, isRepeated });
    isRepeated = false;
    yield results;
    if (!stop) continue;
    const rest = urls.slice(first + urlsMax);
    if (rest.length > 0) yield rest.map((url) => failed(url, stop));
    return;
  }
}

async function addBatch(
  urls: readonly string[],
  adding: Adding,
): Promise<{ readonly results: readonly AddedLink[]; readonly stop: DomainError | null }> {
  const begun = adding.isRepeated ? await listed(urls, [], adding) : new Map<string, DriveOfflineTask>();
  const rest = urls.filter((url) => !begun.has(url));
  let told: readonly OfflineAddResult[] = [];
  let stop: DomainError | null = null;
  try {
    if (rest.length > 0) told = (await adding.offline.add?.(rest, adding.parentRef, adding.call)) ?? [];
  } catch (error) {
    const { known, failure } = await afterFailure(rest, error, adding);
    for (const [url, task] of known) begun.set(url, task);
    if (error instanceof DriveError && FOR_ALL.has(error.category)) stop = failure;
    const results: AddedLink[] = [];
    for (const url of urls) results.push((await attached(url, begun.get(url) ?? null, adding)) ?? failed(url, failure));
    return { results, stop };
  }

  const byUrl = new Map(rest.map((url, index) => [url, told[index]]));
  const existing = await existingTasks([...byUrl.values()], adding);
  const results: AddedLink[] = [];
  for (const url of urls) {
    const result = byUrl.get(url);
    if (result?.task) results.push({ url, task: result.task, attached: false, error: null });
    else {
      const known = await attached(url, begun.get(url) ?? existing.get(url) ?? null, adding);
      results.push(known ?? refused(url, result?.error ?? null, adding));
    }
  }
  return { results, stop };
}

/** A task that the provider has for the link, whether this adding began it or another; null: none, or not to be told. */
const attached = async (
  url: string,
  task: DriveOfflineTask | null,
  { mayAttach }: Adding,
): Promise<AddedLink | null> => (task && (await mayAttach(task)) ? { url, task, attached: true, error: null } : null);

function refused(url: string, error: DriveError | null, { accountId, title, clock }: Adding): AddedLink {
  if (!error) return failed(url, new UnavailableError(`${title} did not say what became of this link.`));
  // Which entry stands there is no entry here: it is a task.
  if (error.category === 'already_exists') return failed(url, new AlreadyExistsError(error.message, { cause: error }));
  return failed(url, domainErrorOf(error, accountId, clock.now()));
}

/** The tasks of links that the provider has already, by link. */
async function existingTasks(
  results: readonly (OfflineAddResult | undefined)[],
  adding: Adding,
): Promise<ReadonlyMap<string, DriveOfflineTask>> {
  const taken = results.filter((result) => result?.error?.category === 'already_exists');
  if (taken.length === 0) return new Map();
  const refs = taken.map((result) => result?.error?.existingRef ?? null);
  return listed(
    taken.map((result) => result?.url ?? ''),
    refs,
    adding,
  );
}

/** What is known of links whose act failed as a whole. */
async function afterFailure(
  urls: readonly string[],
  error: unknown,
  adding: Adding,
): Promise<{ readonly known: ReadonlyMap<string, DriveOfflineTask>; readonly failure: DomainError }> {
  const { accountId, title, offline, clock, log } = adding;
  if (!(error instanceof DriveError)) {
    log.error({ err: error }, 'unexpected error while offline tasks were added');
    const failure = new UnavailableError('Unexpected error. It has been logged.', { retryable: false });
    return { known: await listed(urls, [], adding), failure };
  }
  const failure = domainErrorOf(error, accountId, clock.now());
  if (!isUncertain(error)) return { known: new Map(), failure };
  if (offline.list) return { known: await listed(urls, [], adding), failure };
  const message = `The answer of ${title} was lost, and it does not list its tasks: whether it began this one cannot be told. Look into the folder before you add it again.`;
  const { provider, providerCode } = error;
  return { known: new Map(), failure: new ProviderError(message, { cause: error, provider, providerCode }) };
}

/**
 * The tasks of the provider's list that have these links, or these refs, by link. Nothing when it cannot be read: the
 * failure before it is what the caller is told.
 */
async function listed(
  urls: readonly string[],
  refs: readonly (string | null)[],
  { driver, offline, call, log }: Adding,
): Promise<Map<string, DriveOfflineTask>> {
  const found = new Map<string, DriveOfflineTask>();
  const list = offline.list?.bind(offline);
  if (!list || urls.length === 0) return found;
  const byKey = new Map(urls.map((url) => [linkKey(url), url]));
  const byRef = new Map(urls.flatMap((url, index) => (refs[index] ? [[refs[index].toLowerCase(), url] as const] : [])));
  try {
    for await (const { items } of pagesOf((page) => list(page, call), driver, LIST_PAGES_MAX)) {
      for (const task of items) {
        const key = keysOfTask(task).find((one) => byKey.has(one));
        const url = byRef.get(task.ref.toLowerCase()) ?? (key === undefined ? undefined : byKey.get(key));
        if (url !== undefined && !found.has(url)) found.set(url, task);
      }
      if (found.size === urls.length) break;
    }
  } catch (error) {
    log.warn({ err: error }, 'the list of offline tasks could not be read to look for lost ones');
  }
  return found;
}

const failed = (url: string, error: DomainError): AddedLink => ({ url, task: null, attached: false, error });
