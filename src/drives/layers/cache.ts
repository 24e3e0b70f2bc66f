import type { DriveEntry, Page } from '../driver.ts';
import { DriveError } from '../errors.ts';
import { LOOKS, type Operation } from '../operations.ts';
import type { Read, ReadCache } from '../read-cache.ts';
import type { DriveCall, DriveLayer } from './call.ts';

/** Acts whose answers are kept, as far as a caller is content with an older one. Searches and facts of the account are not. */
const KEPT: ReadonlySet<string> = new Set<Operation>([
  'list',
  'listRecursive',
  'listByCategory',
  'recycleBin.list',
  'count',
  'resolve',
  'pathOf',
  'stat',
]);

type Next = (call: DriveCall) => Promise<unknown>;

/**
 * Gives again what the provider told a short while ago, where the caller allows an age; reads it only once for callers
 * who come together. Any change of the account makes all that was read of it old, before the change and after: which
 * folders it touched is not known for every act, and to ask again costs less than to show what is gone.
 */
export const cacheLayer =
  (cache: ReadCache): DriveLayer =>
  async (call, next) => {
    if (call.operation === 'statMany') return statMany(cache, call, next);
    if (KEPT.has(call.operation)) return told(await read(cache, call, next));
    if (LOOKS.has(call.operation)) return next(call);
    cache.forget(call.accountId);
    try {
      return await next(call);
    } finally {
      cache.written(call.accountId);
    }
  };

async function read(cache: ReadCache, call: DriveCall, next: Next): Promise<Read<unknown>> {
  const { accountId, operation, args, context } = call;
  const question = questionOf(operation, args);
  const kept = cache.find(accountId, question, context.maxAgeMs ?? 0);
  if (kept) return kept;
  return ask(cache, call, async (shared) => {
    const generation = cache.generation(accountId);
    return cache.keep(accountId, question, await next(shared), generation);
  });
}

function ask<Result>(cache: ReadCache, call: DriveCall, next: (call: DriveCall) => Promise<Result>): Promise<Result> {
  const { accountId, operation, args, context } = call;
  const question = questionOf(operation, args);
  const { signal, priority = 'interactive' } = context;
  return cache.share(
    accountId,
    `${priority} ${question}`, // One that has time must not hold up a person.
    signal,
    (shared) => next({ ...call, context: { ...context, signal: shared } }),
    (cause) => cancelled(call, cause),
  );
}

/** A page says how old it is. */
const told = ({ value, at }: Read<unknown>): unknown => (isPage(value) ? { ...value, fetchedAt: at } : value);

/** Each entry is kept by itself; only those that are not are asked for. */
async function statMany(cache: ReadCache, call: DriveCall, next: Next): Promise<readonly (DriveEntry | null)[]> {
  const { accountId, context } = call;
  const refs = call.args[0] as readonly string[];
  const found = new Map<string, DriveEntry | null>();
  for (const ref of refs) {
    const kept = cache.find(accountId, questionOf('stat', [ref]), context.maxAgeMs ?? 0);
    if (kept) found.set(ref, kept.value as DriveEntry);
  }
  const missing = [...new Set(refs)].filter((ref) => !found.has(ref));
  if (missing.length > 0) {
    const generation = cache.generation(accountId);
    const entries = (await ask(cache, { ...call, args: [missing] }, next)) as readonly (DriveEntry | null)[];
    for (const [index, entry] of entries.entries()) {
      const ref = missing[index] ?? '';
      found.set(ref, entry);
      if (entry) cache.keep(accountId, questionOf('stat', [ref]), entry, generation);
    }
  }
  return refs.map((ref) => found.get(ref) ?? null);
}

const questionOf = (operation: string, args: readonly unknown[]): string => JSON.stringify([operation, ...args]);

const isPage = (value: unknown): value is Page<unknown> =>
  typeof value === 'object' && value !== null && 'items' in value && 'nextCursor' in value;

const cancelled = ({ provider, operation }: DriveCall, cause: unknown): DriveError =>
  new DriveError('cancelled', 'The request was cancelled.', { provider, operation, cause });
