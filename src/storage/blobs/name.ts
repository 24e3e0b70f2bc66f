/** Names the bytes of a blob at their place. */
export interface BlobName {
  /** Lower-case hex. */
  readonly sha256: string;
  /**
   * Tells apart what was brought at different times: a random number in hex. In a folder it is null, and so it is of
   * what was copied from a folder to another place.
   */
  readonly generation: string | null;
}

const KEY = /^[0-9a-f]{2}\/[0-9a-f]{2}\/([0-9a-f]{64})(?:\.([0-9a-f]{16}))?$/;

/** `ab/cd/<sha256>`, with the generation behind it: the same in every place, so that a plain copy of all moves them. */
export const keyOf = ({ sha256, generation }: BlobName): string =>
  `${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256}${generation === null ? '' : `.${generation}`}`;

/** What {@link keyOf} made the key of; null when that is another's. */
export function nameOf(key: string): BlobName | null {
  const [, sha256, generation = null] = KEY.exec(key) ?? [];
  if (sha256 === undefined) return null;
  const name = { sha256, generation };
  return keyOf(name) === key ? name : null;
}
