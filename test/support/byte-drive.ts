import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type {
  Capabilities,
  DriveDefinition,
  DriveEntry,
  Driver,
  HashAlgorithm,
  Hashes,
  ProviderId,
} from '../../src/drives/driver.ts';
import { DriveError, type DriveErrorCategory } from '../../src/drives/errors.ts';
import { newId } from '../../src/lib/ids.ts';

export interface ByteDriveOptions {
  /** Default NETDISK. */
  readonly id?: ProviderId;
  /** Hashes that entries tell; default none. */
  readonly hashes?: readonly HashAlgorithm[];
  /** Hashes by which it finds what any of its accounts has; default none. */
  readonly instantHashes?: readonly HashAlgorithm[];
  /** Whether it copies between its accounts. */
  readonly copiesAcross?: boolean;
  /** Default 100. */
  readonly pageMax?: number;
  /** Default 64 KiB. */
  readonly sliceBytes?: number;
  /** What else it says of itself. */
  readonly capabilities?: Partial<Capabilities>;
}

interface Node {
  readonly entry: DriveEntry;
  readonly bytes: Buffer | null;
}

/** What one account holds, for a test to look at and to change as somebody elsewhere would. */
export interface ByteAccount {
  readonly nodes: Map<string, Node>;
  /** Makes a file or, with a slash at the end, a folder, with what is missing above it. Gives its ref. */
  put(path: string, bytes?: Uint8Array | string): string;
  /** The files by their paths, with their bytes as text; folders end with a slash. */
  tree(): Record<string, string>;
}

/** Drives in memory that hold bytes, one for each account, with a revision for each file. */
export function byteDrive({
  id = 'NETDISK',
  hashes = [],
  instantHashes,
  copiesAcross = false,
  pageMax = 100,
  sliceBytes = 64 * 1024,
  capabilities = {},
}: ByteDriveOptions = {}) {
  const accounts = new Map<string, ByteAccount>();
  const sessions = new Map<string, Map<number, Buffer>>();
  const calls: string[] = [];
  const behaviour = {
    /** Called before each act; throws to make it fail, or waits to hold it. */
    before: (_act: string, _accountId: string, _name: string) => undefined as undefined | Promise<void>,
    /** Called after each act had its effect. */
    after: (_act: string, _accountId: string) => undefined as undefined | Promise<void>,
  };
  const fault = (category: DriveErrorCategory, message: string, existingRef: string | null = null): DriveError =>
    new DriveError(category, message, { provider: id, existingRef });
  const hashesOf = (bytes: Uint8Array, algorithms: readonly HashAlgorithm[]): Hashes =>
    Object.fromEntries(algorithms.map((each) => [each, createHash(each.toLowerCase()).update(bytes).digest('hex')]));
  const account = (accountId: string): ByteAccount => {
    const known = accounts.get(accountId);
    if (known) return known;
    const made = accountOf((bytes) => hashesOf(bytes, hashes));
    accounts.set(accountId, made);
    return made;
  };

  const driverOf = (accountId: string): Driver => {
    const own = account(accountId);
    const begin = async (act: string, name = ''): Promise<void> => {
      calls.push(act);
      await behaviour.before(act, accountId, name);
    };
    const find = (ref: string): Node => {
      const node = own.nodes.get(ref);
      if (!node) throw fault('not_found', 'There is no such entry.');
      return node;
    };
    const childOf = (parentRef: string, name: string): DriveEntry | null =>
      [...own.nodes.values()].find(({ entry }) => entry.parentRef === parentRef && entry.name === name)?.entry ?? null;
    const make = (parentRef: string, name: string, bytes: Buffer | null, onConflict = 'FAIL'): DriveEntry => {
      find(parentRef);
      const there = childOf(parentRef, name);
      if (there && onConflict === 'RENAME') return make(parentRef, `${name} (2)`, bytes, onConflict);
      if (there && onConflict !== 'REPLACE') throw fault('already_exists', `“${name}” is there.`, there.ref);
      if (there) own.nodes.delete(there.ref);
      const entry = entryOf(parentRef, name, bytes, bytes ? hashesOf(bytes, hashes) : {});
      own.nodes.set(entry.ref, { entry, bytes });
      return entry;
    };
    const sessionOf = (state: unknown): Map<number, Buffer> => {
      const session = sessions.get(state as string);
      if (!session) throw fault('not_found', 'The session is over.');
      return session;
    };
    return {
      capabilities: {
        nameBytesMax: 255,
        caseSensitive: true,
        fileBytesMax: null,
        listPageMax: pageMax,
        hashes,
        sorts: [],
        ...capabilities,
      },
      rootRef: ROOT,
      async list(folderRef, { kind }, { cursor, limit }) {
        await begin('list', find(folderRef).entry.name);
        const all = [...own.nodes.values()]
          .map(({ entry }) => entry)
          .filter((entry) => entry.parentRef === folderRef && (!kind || entry.kind === kind));
        const from = Number(cursor ?? 0);
        const to = from + Math.min(limit, pageMax);
        return { items: all.slice(from, to), nextCursor: to < all.length ? String(to) : null, totalCount: null };
      },
      async stat(ref) {
        await begin('stat');
        return find(ref).entry;
      },
      async read(ref, range) {
        const { bytes, entry } = find(ref);
        await begin('read', entry.name);
        if (!bytes) throw fault('wrong_kind', 'A folder has no bytes.');
        return Readable.from([bytes.subarray(range?.start ?? 0, range?.end == null ? undefined : range.end + 1)]);
      },
      async createFolder(parentRef, name) {
        await begin('createFolder', name);
        const made = make(parentRef, name, null);
        await behaviour.after('createFolder', accountId);
        return made;
      },
      async remove(ref, { ifRevision }) {
        await begin('remove', find(ref).entry.name);
        if (ifRevision !== undefined && find(ref).entry.revision !== ifRevision) throw fault('conflict', 'It changed.');
        own.nodes.delete(ref);
      },
      ...(copiesAcross
        ? {
            async copyFromAccount(source, parentRef, { name, onConflict }) {
              await begin('copyFromAccount');
              const from = account(source.accountId).nodes.get(source.ref);
              if (!from?.bytes) throw fault('not_found', 'There is no such file.');
              const made = make(parentRef, name ?? from.entry.name, from.bytes, onConflict);
              await behaviour.after('copyFromAccount', accountId);
              return made;
            },
          }
        : {}),
      upload: {
        concurrency: 2,
        ...(instantHashes ? { instantHashes } : {}),
        async begin(plan) {
          await begin('upload.begin', plan.name);
          const has = ({ bytes }: Node): boolean =>
            bytes !== null &&
            Object.entries(hashesOf(bytes, instantHashes ?? [])).every(
              ([algorithm, hash]) => plan.hashes[algorithm as HashAlgorithm] === hash,
            );
          const held = instantHashes && [...accounts.values()].flatMap(({ nodes }) => [...nodes.values()]).find(has);
          if (held) {
            const instant = make(plan.parentRef, plan.name, held.bytes, plan.onConflict);
            await behaviour.after('upload.begin', accountId);
            return { instant };
          }
          const state = newId();
          sessions.set(state, new Map());
          return { session: { sliceBytes, sliceCount: Math.ceil(plan.sizeBytes / sliceBytes), state } };
        },
        async putSlice(plan, session, index, bytes) {
          await begin('upload.putSlice', plan.name);
          sessionOf(session.state).set(index, Buffer.from(bytes));
          return { index, state: null };
        },
        async complete(plan, session, receipts) {
          await begin('upload.complete', plan.name);
          const slices = sessionOf(session.state);
          const bytes = Buffer.concat(receipts.map(({ index }) => slices.get(index) ?? Buffer.alloc(0)));
          const made = make(plan.parentRef, plan.name, bytes, plan.onConflict);
          sessions.delete(session.state as string);
          await behaviour.after('upload.complete', accountId);
          return made;
        },
        async abort(session) {
          await begin('upload.abort');
          sessions.delete(session.state as string);
        },
      },
    };
  };

  const definition: DriveDefinition = {
    id,
    title: 'Drive with bytes',
    linkMethods: ['PASSWORD'],
    settings: [],
    errorCodes: [],
    create: ({ id: accountId }) => driverOf(accountId),
  };
  return { definition, account, driverOf, calls, sessions, behaviour };
}

const ROOT = 'root';

function accountOf(hash: (bytes: Uint8Array) => Hashes): ByteAccount {
  const nodes = new Map<string, Node>([[ROOT, { entry: { ...entryOf(null, '', null, {}), ref: ROOT }, bytes: null }]]);
  const pathOf = ({ parentRef, name, kind }: DriveEntry): string => {
    const above = parentRef === null ? null : nodes.get(parentRef)?.entry;
    return `${above ? pathOf(above) : ''}${name}${kind === 'FOLDER' ? '/' : ''}`;
  };
  return {
    nodes,
    put(path, content = '') {
      const names = path.split('/').filter((name) => name !== '');
      let parent = ROOT;
      for (const [index, name] of names.entries()) {
        const isFile = index === names.length - 1 && !path.endsWith('/');
        const there = [...nodes.values()].find(({ entry }) => entry.parentRef === parent && entry.name === name)?.entry;
        const bytes = isFile ? Buffer.from(content) : null;
        if (there && bytes)
          nodes.set(there.ref, { entry: { ...entryOf(parent, name, bytes, hash(bytes)), ref: there.ref }, bytes });
        const entry = there ?? entryOf(parent, name, bytes, bytes ? hash(bytes) : {});
        if (!there) nodes.set(entry.ref, { entry, bytes });
        parent = entry.ref;
      }
      return parent;
    },
    tree: () =>
      Object.fromEntries(
        [...nodes.values()]
          .filter(({ entry }) => entry.parentRef !== null)
          .map(({ entry, bytes }) => [pathOf(entry), bytes?.toString() ?? ''] as const)
          .toSorted(([left], [right]) => (left < right ? -1 : 1)),
      ),
  };
}

const entryOf = (parentRef: string | null, name: string, bytes: Buffer | null, hashes: Hashes): DriveEntry => ({
  ref: newId(),
  kind: bytes ? 'FILE' : 'FOLDER',
  name,
  parentRef,
  path: null,
  sizeBytes: bytes?.length ?? null,
  createdAt: new Date(),
  modifiedAt: null,
  revision: bytes ? newId() : null,
  mimeType: null,
  category: null,
  hashes,
  deletedAt: null,
});
