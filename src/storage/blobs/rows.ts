import type { EntityManager } from '../orm.ts';
import type { BlobName } from './name.ts';

/** The generation that the row of these bytes has; undefined when there is no row. */
export async function generationOf(em: EntityManager, sha256: string): Promise<string | null | undefined> {
  const [row] = await em.execute<{ generation: string | null }[]>('select generation from blobs where sha256 = ?', [
    sha256,
  ]);
  return row?.generation;
}

/** Which of the names no row has. */
export async function unknownOf(em: EntityManager, names: readonly BlobName[]): Promise<BlobName[]> {
  if (names.length === 0) return [];
  const rows = await em.execute<BlobName[]>('select sha256, generation from blobs where sha256 in (?)', [
    names.map(({ sha256 }) => sha256),
  ]);
  const known = new Map(rows.map(({ sha256, generation }) => [sha256, generation]));
  return names.filter(({ sha256, generation }) => known.get(sha256) !== generation);
}
