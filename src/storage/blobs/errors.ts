/** The bytes of a blob are not what its row says: they are missing or have another length. */
export class BlobDamagedError extends Error {
  override readonly name = 'BlobDamagedError';
}

/** A sweep removed what was settled before its transaction came to adopt it: settle it again. */
export class BlobSweptError extends Error {
  override readonly name = 'BlobSweptError';
}

/**
 * Why a store across a network does not do what it is asked:
 * - `busy`: it wants to be asked less, also after all tries;
 * - `unavailable`: it does not answer, or fails;
 * - `denied`: it refuses this server, which its operator must mend;
 * - `full`: there is no room; `tooLarge`: the object is larger than it takes.
 */
export type BlobStoreFault = 'busy' | 'unavailable' | 'denied' | 'full' | 'tooLarge';

/** The store of blobs failed. What it was asked for may have happened; nothing of it is visible. */
export class BlobStoreError extends Error {
  override readonly name = 'BlobStoreError';
  readonly fault: BlobStoreFault;

  constructor(fault: BlobStoreFault, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.fault = fault;
  }
}
