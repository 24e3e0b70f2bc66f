import type { CallContext, Driver } from './driver.ts';

/** The parts of a driver that hold acts of their own. */
export const FACETS = ['recycleBin', 'upload', 'shares', 'offline', 'media'] as const;
type Facet = (typeof FACETS)[number];

type Act = (...args: never[]) => Promise<unknown>;
type ActName<Part> = { [Key in keyof Part & string]-?: NonNullable<Part[Key]> extends Act ? Key : never }[keyof Part &
  string];
type FacetAct<Name extends Facet> = `${Name}.${ActName<NonNullable<Driver[Name]>>}`;

/** Every act of the contract by its path, as in `list` or `upload.begin`. */
export type Operation = ActName<Driver> | { [Name in Facet]: FacetAct<Name> }[Facet];

type ActOf<Path extends Operation> = Path extends `${infer Part extends Facet}.${infer Name}`
  ? Name extends keyof NonNullable<Driver[Part]>
    ? Extract<NonNullable<NonNullable<Driver[Part]>[Name]>, Act>
    : never
  : Path extends keyof Driver
    ? Extract<NonNullable<Driver[Path]>, Act>
    : never;
export type OperationArgs<Path extends Operation> = Parameters<ActOf<Path>>;
export type OperationResult<Path extends Operation> = ReturnType<ActOf<Path>>;

/**
 * Acts that change nothing; any other counts as a change, so that a new one cannot be forgotten. A slice is none of its own: the
 * begin and the end of its upload tell enough.
 */
export const LOOKS: ReadonlySet<string> = new Set<Operation>([
  'list',
  'stat',
  'read',
  'count',
  'statMany',
  'measure',
  'resolve',
  'pathOf',
  'listRecursive',
  'listByCategory',
  'searchByName',
  'searchByMeaning',
  'profile',
  'usage',
  'changes',
  'link',
  'recycleBin.list',
  'upload.putSlice',
  'upload.heldSlices',
  'shares.list',
  'offline.list',
  'offline.stat',
  'offline.readTorrent',
  'offline.allowance',
  'media.thumbnails',
  'media.preview',
  'media.playlist',
  'media.openPlaylist',
  'media.readPlaylist',
  'media.readPart',
  'media.openDownload',
  'media.readDownload',
  'media.subtitles',
  'media.lists',
  'media.listFiles',
  'media.info',
  'media.versions',
  'media.progress',
]);

type AnyAct = (...args: unknown[]) => Promise<unknown>;

/** The driver's act at a path, bound; null when it has none. */
export function findAct(driver: Driver, path: string): AnyAct | null {
  const [first = '', second] = path.split('.');
  const holder = second === undefined ? driver : Reflect.get(driver, first);
  if (typeof holder !== 'object' || holder === null) return null;
  const act: unknown = Reflect.get(holder, second ?? first);
  return typeof act === 'function' ? (act.bind(holder) as AnyAct) : null;
}

/**
 * The same driver with each act it has, those of its facets too, replaced by what `wrap` makes of it. Works by walking
 * what is there, object or class, so that a new act of the contract is wrapped without being named here.
 */
export function wrapActs(driver: Driver, wrap: (path: string, act: AnyAct) => AnyAct): Driver {
  const wrapPart = (part: object, prefix: string): object => {
    const wrapped: Record<string, unknown> = {};
    for (const key of keysOf(part)) {
      const value: unknown = Reflect.get(part, key);
      if (typeof value === 'function') wrapped[key] = wrap(`${prefix}${key}`, value.bind(part));
      else if (prefix === '' && isFacet(key) && typeof value === 'object' && value !== null)
        wrapped[key] = wrapPart(value, `${key}.`);
      else wrapped[key] = value;
    }
    return wrapped;
  };
  return wrapPart(driver, '') as Driver;
}

/** Whether a value is the context that ends the arguments of every act. */
export const isCallContext = (value: unknown): value is CallContext =>
  typeof value === 'object' && value !== null && 'signal' in value && value.signal instanceof AbortSignal;

const isFacet = (key: string): boolean => (FACETS as readonly string[]).includes(key);

function keysOf(part: object): Set<string> {
  const keys = new Set<string>();
  for (
    let holder: object | null = part;
    holder && holder !== Object.prototype;
    holder = Object.getPrototypeOf(holder)
  ) {
    for (const key of Object.getOwnPropertyNames(holder)) if (key !== 'constructor') keys.add(key);
  }
  return keys;
}
