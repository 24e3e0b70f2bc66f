import type { Layer } from '../../lib/layers.ts';
import type { CallContext, ProviderId } from '../driver.ts';

/** One act on one drive, on its way through the layers. */
export interface DriveCall {
  readonly provider: ProviderId;
  readonly accountId: string;
  /** The act's path: `list`, `upload.begin`. */
  readonly operation: string;
  /** Its arguments but for the context. */
  readonly args: readonly unknown[];
  readonly context: CallContext;
  /** Whether the driver has the act. */
  readonly supported: boolean;
}

export type DriveLayer = Layer<DriveCall>;

/** How an act ended: `ok`, the category of its DriveError, or `bug` for anything else that was thrown. */
export type Outcome = 'ok' | 'bug' | (string & {});
