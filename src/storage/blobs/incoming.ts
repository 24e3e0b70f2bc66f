import { mkdir, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { namesIn, unlessMissing } from './files.ts';

/** The folder of bytes that come in slices, for one process or those that share it: none of them is a blob yet. */
export class Incoming {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The same for the same name. */
  async path(name: string): Promise<string> {
    await this.#make();
    return join(this.#folder, name);
  }

  /** Bytes that its disk can still take. */
  async freeBytes(): Promise<number> {
    await this.#make();
    const { bavail, bsize } = await statfs(this.#folder);
    return bavail * bsize;
  }

  /** Removes what nobody wrote to since. Gives how many files went. */
  async sweep(before: Date): Promise<number> {
    let removed = 0;
    for await (const name of namesIn(this.#folder, /./)) {
      const path = join(this.#folder, name);
      const found = await stat(path).catch(unlessMissing);
      if (!found || found.mtime >= before) continue;
      await unlink(path).catch(unlessMissing);
      removed += 1;
    }
    return removed;
  }

  async #make(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
  }
}
