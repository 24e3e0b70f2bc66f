import { type DriveErrorCategory, isRetryable } from '../../lib/drive-error.ts';
import type { DriveErrorCode } from '../driver.ts';

/** A row of a provider's error tables: code, category, meaning, and what to check. */
export type ErrorRow = readonly [code: number, category: DriveErrorCategory, meaning: string, hint?: string];

/** The table as `Provider.errorCodes` shows it. */
export const errorCodesOf = (rows: readonly ErrorRow[]): readonly DriveErrorCode[] =>
  rows.map(([code, category, meaning, hint]) => ({
    code: String(code),
    meaning,
    category,
    retryable: isRetryable(category),
    hint: hint ?? null,
  }));
