import type { CallContext, DriveEntry } from '../drives/driver.ts';
import { addMs } from '../lib/clock.ts';
import { AlreadyExistsError } from '../lib/errors.ts';
import { findChild } from '../transfers/children.ts';
import { CLOCK_MARGIN_MS } from '../transfers/made.ts';
import { freeNames } from '../transfers/naming.ts';
import { differs } from '../transfers/verification.ts';
import type { OpenAccount } from './accounts.ts';
import type { Attempt } from './idempotency.ts';
import type { Item } from './item-lists.ts';

/**
 * Copies within one account under names that are free. With a key, the name is kept before the drive is asked for it, so
 * that a repetition after a crash finds what was made, and does not make another.
 */
export class CopyNaming {
  readonly #attempt: Attempt<unknown>;
  readonly #call: CallContext;
  /** Of the first item that this attempt does: the one that the attempt before was at. */
  #claimed: string | null;

  constructor(attempt: Attempt<unknown>, call: CallContext) {
    this.#attempt = attempt;
    this.#call = call;
    this.#claimed = attempt.claimed;
  }

  async copy(opened: OpenAccount, ref: string, parentRef: string, options: Item['options']): Promise<DriveEntry> {
    const { driver, run } = opened;
    const { claim } = this.#attempt;
    // Without a key nothing can be kept, and the drive chooses.
    if (!claim) return run('copy', ref, parentRef, { onConflict: 'RENAME', ...options }, this.#call);
    const claimed = this.#claimed;
    this.#claimed = null;
    const source = await driver.stat(ref, this.#call);
    const made = claimed === null ? null : await findChild(driver, parentRef, claimed, this.#call);
    if (made && this.#isCopy(made, source)) return made;
    for await (const name of freeNames(driver, parentRef, source.name, this.#call)) {
      await claim(name);
      try {
        return await run('copy', ref, parentRef, { onConflict: 'FAIL', name, ...options }, this.#call);
      } catch (error) {
        if (!(error instanceof AlreadyExistsError)) throw error;
      }
    }
    throw new AlreadyExistsError(`There are too many entries named like “${source.name}”.`);
  }

  /** The name was free when it was kept: so it is the copy, unless it is plainly another. */
  #isCopy(made: DriveEntry, source: DriveEntry): boolean {
    const { since } = this.#attempt;
    if (made.kind !== source.kind || differs(made, source)) return false;
    return since === null || made.createdAt === null || made.createdAt >= addMs(since, -CLOCK_MARGIN_MS);
  }
}
