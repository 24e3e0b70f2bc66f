import { DomainError, UnavailableError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';

/** What a caller is told where one failure among many is data: a bug is logged, and told as little as anywhere else. */
export function toldOf(error: unknown, log: Logger): DomainError {
  if (error instanceof DomainError) return error;
  log.error({ err: error }, 'unexpected error in one of several');
  return new UnavailableError('Unexpected error. It has been logged.', { retryable: false });
}
