import type { Services } from '../services/services.ts';
import type { Viewer } from '../services/viewer.ts';

/** Batching reads by key, one set for each operation: what was loaded in one operation is never shown in another. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by the types that need batching.
export interface Loaders {}

export function createLoaders(_services: Services, _viewer: Viewer | null): Loaders {
  return {};
}
