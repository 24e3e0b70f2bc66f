import type { DriveEntry } from '../driver.ts';

/** The root of a drive whose provider tells nothing about it. */
export const rootEntry = (ref: string): DriveEntry => ({
  ref,
  kind: 'FOLDER',
  name: '',
  parentRef: null,
  path: '/',
  sizeBytes: null,
  createdAt: null,
  modifiedAt: null,
  revision: null,
  mimeType: null,
  category: null,
  hashes: {},
  deletedAt: null,
});
