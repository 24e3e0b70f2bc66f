import type { Capabilities, DriveEntry } from '../drives/driver.ts';
import { entryNameKey } from '../lib/names.ts';

/** An entry, and the name that it is to have. */
export interface WantedName {
  readonly ref: string;
  readonly name: string;
}

/** What a drive says about names and lists of renames. */
type Limits = Pick<Capabilities, 'caseSensitive' | 'renamesMax'>;

/**
 * Renames in groups, each of which can be done at once, one group after the other: whoever gives a name up comes before
 * whoever wants it, two who want one name come in their order, and what is in a folder comes before the folder. Where
 * names are exchanged in a circle there is no such order: each of them comes by itself, and finds its name taken.
 * @param now The entries as they are, by ref; those that are not there stand in nobody's way.
 */
export function renameGroups<Task extends WantedName>(
  tasks: readonly Task[],
  now: ReadonlyMap<string, DriveEntry>,
  limits: Limits,
): readonly (readonly Task[])[] {
  const levels = levelsOf(predecessorsOf(tasks, now, limits));
  const groups = [...Map.groupBy(tasks.keys(), (index) => levels[index] ?? 0)].toSorted(
    ([one], [other]) => one - other,
  );
  return groups.flatMap(([, indexes]) =>
    chunked(
      indexes.flatMap((index) => tasks[index] ?? []),
      limits.renamesMax ?? 1,
    ),
  );
}

/** The indexes of what comes before each of the tasks. */
function predecessorsOf(
  tasks: readonly WantedName[],
  now: ReadonlyMap<string, DriveEntry>,
  { caseSensitive }: Limits,
): readonly (readonly number[])[] {
  const keyOf = (name: string): string => (caseSensitive ? name.normalize('NFC') : entryNameKey(name));
  const entries = tasks.map(({ ref }) => now.get(ref) ?? null);
  const places = entries.map((entry, index) => {
    const folder = entry && folderOf(entry);
    const of = (name: string): string | null => (folder === null ? null : `${folder}\0${keyOf(name)}`);
    return { has: of(entry?.name ?? ''), wants: of(tasks[index]?.name ?? '') };
  });
  return places.map(({ wants }, index) =>
    places.flatMap((other, at) => {
      const givesUp = at !== index && wants !== null && other.has === wants;
      const wantsToo = at < index && wants !== null && other.wants === wants;
      const isInside = at !== index && isBelow(entries[at] ?? null, entries[index] ?? null);
      return givesUp || wantsToo || isInside ? [at] : [];
    }),
  );
}

/** By its path where that is told, as some drives do not tell the folder otherwise. */
const folderOf = ({ path, parentRef }: DriveEntry): string | null =>
  path === null ? parentRef : path.slice(0, path.lastIndexOf('/') + 1);

const isBelow = (entry: DriveEntry | null, folder: DriveEntry | null): boolean =>
  entry?.path != null && folder?.path != null && entry.path.startsWith(`${folder.path}/`);

/** How many must be done before each of them, one after the other. What closes a circle does not count. */
function levelsOf(predecessors: readonly (readonly number[])[]): readonly number[] {
  const levels: (number | 'open')[] = [];
  const levelOf = (index: number): number => {
    const known = levels[index];
    if (known === 'open') return -1;
    if (known !== undefined) return known;
    levels[index] = 'open';
    const level = 1 + Math.max(-1, ...(predecessors[index] ?? []).map(levelOf));
    levels[index] = level;
    return level;
  };
  return predecessors.map((_, index) => levelOf(index));
}

const chunked = <Item>(items: readonly Item[], max: number): Item[][] =>
  Array.from({ length: Math.ceil(items.length / max) }, (_, at) => items.slice(at * max, (at + 1) * max));
