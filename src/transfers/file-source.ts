import { PermissionDeniedError } from '../lib/errors.ts';
import type { FileSource } from '../storage/entities/transfer.ts';
import type { ServerFiles } from './server-files.ts';
import type { OpenSource } from './sources.ts';

export interface FileSourceParts {
  readonly serverFiles: ServerFiles;
  /** Whether the user may do so still. */
  readonly mayImport: (userId: string) => Promise<boolean>;
}

/** The bytes of a file of the server. */
export const fileSource =
  ({ serverFiles, mayImport }: FileSourceParts): OpenSource<FileSource> =>
  async ({ source, userId, offset, version, call }) => {
    if (!(await mayImport(userId))) throw new PermissionDeniedError('Only an administrator may import files.');
    const file = await serverFiles.open(source.path);
    const start = file.version === version && offset <= file.sizeBytes ? offset : 0;
    const { sizeBytes } = file;
    return { body: file.read(start, call.signal), offset: start, version: file.version, sizeBytes };
  };
