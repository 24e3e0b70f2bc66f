import type { Driver, HashAlgorithm, Hashes } from '../drives/driver.ts';
import { VERIFICATIONS } from '../storage/entities/transfer.ts';

/** What decides how bytes get into a drive. */
export interface RouteFacts {
  /** Where the bytes are, if in a drive. */
  readonly from: 'sameAccount' | 'sameProvider' | 'elsewhere';
  readonly kind: 'FILE' | 'FOLDER';
  /** True hashes that are known before any byte is read. */
  readonly hashes: Hashes;
  readonly sizeBytes: number | null;
}

/** A way into a drive, and why it is open. */
export type RouteChoice =
  | { readonly route: 'SERVER_SIDE'; readonly act: 'copy' | 'copyFromAccount'; readonly reason: string }
  | { readonly route: 'INSTANT'; readonly algorithm: HashAlgorithm; readonly reason: string }
  | { readonly route: 'SLICED' | 'STREAMED'; readonly reason: string };

/**
 * The ways by which bytes can get into a drive, the best first: none that passes this machine before one that does not.
 * By what the driver can do, never by which it is. The next is taken where one turns out to be closed: only the drive
 * knows whether it has the bytes. Empty: there is no way.
 */
export function routesInto(driver: Driver, facts: RouteFacts): readonly RouteChoice[] {
  const choices: RouteChoice[] = [];
  if (facts.from === 'sameAccount' && driver.copy) {
    choices.push({
      route: 'SERVER_SIDE',
      act: 'copy',
      reason: 'Both ends are in one account, which copies by itself.',
    });
  }
  if (facts.kind === 'FOLDER') return choices;
  if (facts.from === 'sameProvider' && driver.copyFromAccount) {
    const reason = 'Both accounts are at one provider, which copies between them.';
    choices.push({ route: 'SERVER_SIDE', act: 'copyFromAccount', reason });
  }
  const algorithm = instantHash(driver, facts.hashes);
  if (algorithm && facts.sizeBytes !== null) {
    const reason = `The ${algorithm} of the bytes is known, and the drive is asked whether it has them.`;
    choices.push({ route: 'INSTANT', algorithm, reason });
  }
  const sending = sendingRoute(driver);
  if (sending) choices.push(sending);
  return choices;
}

/** How bytes are sent that are here. */
export function sendingRoute(driver: Driver): RouteChoice | null {
  if (driver.adopt) return { route: 'STREAMED', reason: 'The drive takes the file whole, as it is.' };
  if (driver.upload) return { route: 'SLICED', reason: 'The drive takes slices, each of which can be sent again.' };
  return null;
}

/** The strongest hash by which the drive can look for the bytes, if all that it needs are known. */
function instantHash(driver: Driver, hashes: Hashes): HashAlgorithm | null {
  const needed = driver.upload?.instantHashes ?? (driver.instantUpload ? driver.capabilities.hashes.slice(0, 1) : []);
  if (needed.length === 0 || needed.some((algorithm) => hashes[algorithm] === undefined)) return null;
  return (
    VERIFICATIONS.find((algorithm): algorithm is HashAlgorithm => (needed as string[]).includes(algorithm)) ?? null
  );
}
