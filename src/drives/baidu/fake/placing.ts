import type { Content } from './content.ts';
import { isWritable } from './manage.ts';
import type { Entry } from './tree.ts';
import { attach, baseName, freeName, isDirectory, isPathAllowed, isWellFormed, parentPath } from './tree.ts';
import { Refusal } from './wire.ts';
import type { User, World } from './world.ts';

export interface NewFile {
  readonly path: string;
  readonly rtype: string;
  readonly content: Content;
  readonly localCtime: number;
  readonly localMtime: number;
}

/**
 * Puts a file where it belongs. When its name is taken: rtype 0 refuses, 1 renames, 2 renames unless the content is the
 * same, 3 overwrites.
 */
export function placeFile(world: World, user: User, file: NewFile): Entry {
  const parent = parentOf(world, user, file.path);
  const name = baseName(file.path);
  const taken = parent.children?.get(name);
  if (taken && (file.rtype === '0' || (file.rtype === '3' && isDirectory(taken)))) throw new Refusal(-8);
  if (file.rtype === '2' && taken?.content && isSame(taken.content, file.content)) return taken;
  const free = taken && file.rtype !== '3' ? freeName(parent, name) : name;
  const entry = world.newEntry(free, file.content, { localCtime: file.localCtime, localMtime: file.localMtime });
  attach(entry, parent, free);
  return entry;
}

/** Makes a directory; without rtype 0 a taken name is changed, as the service may do silently. */
export function placeDirectory(
  world: World,
  user: User,
  directory: Omit<NewFile, 'content' | 'rtype'> & { readonly rtype: string | null },
): Entry {
  const { path, rtype, ...times } = directory;
  const isTaken = world.find(user, path) !== null;
  if (isTaken && rtype === '0') throw new Refusal(-8, 'file already exists');
  const parent = parentOf(world, user, path);
  const name = isTaken ? freeName(parent, baseName(path)) : baseName(path);
  const entry = world.newEntry(name, null, times);
  attach(entry, parent, name);
  return entry;
}

/**
 * Refuses a path at which nothing may be made.
 * @throws Refusal with `badName` for a forbidden name, 31064 or 20020 outside the application's area, 2 when malformed
 */
export function checkNewPath(world: World, path: string, badName: number): void {
  if (!isWellFormed(path) || path === '/') world.refuse(2, `the path ${path} is malformed`);
  if (!isPathAllowed(path)) throw new Refusal(badName, 'file name is invalid');
  if (isWritable(world, path)) return;
  const { scopeErrors, gatewayStatus } = world.settings;
  if (scopeErrors === 'gateway') {
    throw new Refusal(20020, 'path is outside of the app directory', { status: gatewayStatus });
  }
  throw new Refusal(31064, 'file is not authorized');
}

function parentOf(world: World, user: User, path: string): Entry {
  const { createParents, appRoot } = world.settings;
  if (!createParents && path !== appRoot && !world.find(user, parentPath(path))) {
    throw new Refusal(31063, 'parent path does not exist');
  }
  const parent = world.ensureDirectory(user, parentPath(path));
  if (!parent) throw new Refusal(-7, 'a file is in the way');
  return parent;
}

function isSame(one: Content, other: Content): boolean {
  if (one.size !== other.size) return false;
  return one.md5 !== null && other.md5 !== null
    ? one.md5 === other.md5
    : one.blockMd5s.join() === other.blockMd5s.join();
}
