/** A file's bytes, or null of a folder. */
type Content = Buffer | null;

/** What one person has on the server: a tree, by paths. */
export class World {
  readonly #entries = new Map<string, Content>();

  kindOf(path: string): 'FILE' | 'FOLDER' | null {
    if (path === '/') return 'FOLDER';
    const content = this.#entries.get(path);
    return content === undefined ? null : content === null ? 'FOLDER' : 'FILE';
  }

  bytesOf(path: string): Buffer | null {
    return this.#entries.get(path) ?? null;
  }

  /** Makes a file, or (null) a folder; false when its folder is none. */
  put(path: string, content: Content): boolean {
    if (this.kindOf(parentOf(path)) !== 'FOLDER') return false;
    this.#entries.set(path, content);
    return true;
  }

  remove(path: string): void {
    for (const each of [...this.#entries.keys()]) if (isIn(each, path)) this.#entries.delete(each);
  }

  rename(path: string, to: string): void {
    for (const [each, content] of [...this.#entries]) {
      if (!isIn(each, path)) continue;
      this.#entries.delete(each);
      this.#entries.set(to + each.slice(path.length), content);
    }
  }

  /** The names directly in a folder. */
  namesIn(folder: string): string[] {
    return [...this.#entries.keys()].filter((path) => parentOf(path) === folder).map(nameOf);
  }

  /** What has a text in its name, below a folder at any depth. */
  search(text: string, folder: string): { readonly file: string[]; readonly directory: string[] } {
    const plain = (name: string): string => name.normalize('NFC').toLowerCase().normalize('NFC');
    const below = folder === '/' ? '/' : `${folder}/`;
    const found = [...this.#entries].filter(
      ([path]) => path.startsWith(below) && plain(nameOf(path)).includes(plain(text)),
    );
    const pathsOf = (isFolder: boolean): string[] =>
      found.filter(([, content]) => (content === null) === isFolder).map(([path]) => path);
    return { file: pathsOf(false), directory: pathsOf(true) };
  }
}

export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
export const below = (folder: string, name: string): string => `${folder === '/' ? '' : folder}/${name}`;

const isIn = (path: string, top: string): boolean => path === top || path.startsWith(`${top}/`);
