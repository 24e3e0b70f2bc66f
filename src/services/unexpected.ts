import { DomainError, UnavailableError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { outageOf } from '../lib/outage.ts';

/** What a caller is told where one failure among many is data: a bug is logged, and told as little as anywhere else. */
export function toldOf(error: unknown, log: Logger): DomainError {
  if (error instanceof DomainError) return error;
  const outage = outageOf(error);
  if (outage) return outage;
  log.error({ err: error }, 'unexpected error in one of several');
  return new UnavailableError('Unexpected error. It has been logged.', { retryable: false });
}

/** As {@link toldOf}, of what is kept for a repetition: that the database was lost is no answer, and the whole is done again. */
export function keptOf(error: unknown, log: Logger): DomainError {
  const outage = error instanceof DomainError ? null : outageOf(error);
  if (outage) throw outage;
  return toldOf(error, log);
}
