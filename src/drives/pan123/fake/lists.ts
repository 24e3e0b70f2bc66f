import { type Entry, inBin, sizeOf, type Tree } from './tree.ts';
import { type Asked, type Endpoint, type Fields, Refusal } from './wire.ts';
import { timeText, type World } from './world.ts';

const PAGE_MAX = 100;
const FOLDER_LIST = '/api/v2/file/list';

export const listEndpoints = (world: World): Endpoint[] => [
  {
    role: 'api',
    verb: 'GET',
    path: FOLDER_LIST,
    auth: 'token',
    params:
      'parentFileId:int! limit:int! lastFileId:int searchData:text searchMode:int category:int businessType:int trashed:bool',
    handle: (call) => listV2(world, call),
  },
  {
    role: 'api',
    verb: 'GET',
    path: '/api/v1/file/list',
    auth: 'token',
    params: 'parentFileId:int! page:int! limit:int! orderBy:text! orderDirection:text! trashed:bool searchData:text',
    handle: (call) => listV1(world, call),
  },
  {
    role: 'api',
    verb: 'GET',
    path: '/api/v1/file/detail',
    auth: 'token',
    params: 'fileID:int!',
    handle: (call) => detail(world, call),
  },
  {
    role: 'api',
    verb: 'POST',
    path: '/api/v1/file/infos',
    auth: 'token',
    params: 'fileIds:ints!',
    handle: ({ user, values }) => {
      const ids = values.ids('fileIds');
      if (ids.length > PAGE_MAX) world.violate(`infos was asked for ${ids.length} files`);
      if (ids.includes(0n)) world.violate('infos was asked for the root');
      const files = ids.flatMap((id) => user.tree.get(id) ?? []).map((entry) => fileFields(user.tree, entry));
      if (world.settings.infosTime === 'text') return { fileList: files };
      return { fileList: files.map((file) => ({ ...file, updateAt: Math.floor(world.now / 1000) })) };
    },
  },
];

/** The file object of v2. */
export function fileFields(tree: Tree, entry: Entry): Fields {
  const bytes = entry.content?.bytes.length ?? 0;
  return {
    fileId: entry.id,
    filename: entry.name,
    parentFileId: entry.parent?.id ?? 0n,
    type: entry.kind === 'folder' ? 1 : 0,
    etag: entry.content?.md5 ?? '',
    size: bytes,
    category: categoryOf(entry),
    status: 0,
    punishFlag: 0,
    s3KeyFlag: '1814435971-0',
    storageNode: 'm16',
    trashed: inBin(entry) ? 1 : 0,
    createAt: timeText(entry.createdAt),
    updateAt: timeText(entry.updatedAt),
    ...(tree.root === entry ? { fileId: 0n } : {}),
  };
}

const EXTENSIONS: readonly (readonly [RegExp, number])[] = [
  [/\.(mp3|flac|wav|m4a)$/i, 1],
  [/\.(mp4|mkv|avi|mov)$/i, 2],
  [/\.(jpg|jpeg|png|gif|webp)$/i, 3],
  [/\.(zip|rar|7z)$/i, 10],
];

const categoryOf = ({ kind, name }: Entry): number =>
  kind === 'folder' ? 0 : (EXTENSIONS.find(([extension]) => extension.test(name))?.[1] ?? 0);

function listV2(world: World, { user, values }: Asked): Fields {
  const limit = values.int('limit');
  if (limit < 1 || limit > PAGE_MAX) {
    world.violate(`a page of ${limit} was asked for`);
    throw new Refusal(1, 'limit参数错误');
  }
  if (values.has('trashed')) world.violate('v2 knows no parameter trashed');
  const after = values.id('lastFileId');
  const found = candidates(user.tree, values).filter(({ id }) => id > after);
  const page = found.slice(0, limit);
  return {
    lastFileId: found.length > limit || world.settings.listEnd === 'empty' ? (page.at(-1)?.id ?? after + 1n) : -1n,
    fileList: page.map((entry) => fileFields(user.tree, entry)),
  };
}

function candidates(tree: Tree, values: Asked['values']): Entry[] {
  const search = values.text('searchData');
  const isTranscode = values.int('businessType') === 2;
  const ofSpace = tree.all().filter(({ transcode, parent }) => transcode === isTranscode && (!isTranscode || parent));
  const wanted = values.int('category') === 2 ? ofSpace.filter((entry) => categoryOf(entry) === 2) : ofSpace;
  // A search is one of the whole drive, whatever folder is named.
  if (search !== '') return wanted.filter(({ name }) => matches(name, search, values.int('searchMode')));
  if (isTranscode || values.int('category') === 2) return wanted;
  return wanted.filter(({ parent }) => parent?.id === values.id('parentFileId'));
}

/** Fuzzy: any part of the name, or any word of what is searched for. */
function matches(name: string, search: string, mode: number): boolean {
  if (mode === 1) return name === search;
  const folded = name.normalize('NFC').toLowerCase();
  const words = search.normalize('NFC').toLowerCase();
  return (
    folded.includes(words) || words.split(/[\s._-]+/).some((word) => [...word].length > 2 && folded.includes(word))
  );
}

const ORDERS: Readonly<Record<string, (one: Entry, other: Entry) => number>> = {
  file_id: (one, other) => (one.id < other.id ? -1 : 1),
  size: (one, other) => (one.content?.bytes.length ?? 0) - (other.content?.bytes.length ?? 0),
  file_name: (one, other) => (one.name < other.name ? -1 : 1),
};

/** With `trashed`, the recycle bin: what was put there, without what is below it. */
function listV1(world: World, { user, values }: Asked): Fields {
  const order = ORDERS[values.text('orderBy')];
  const limit = values.int('limit');
  const page = values.int('page');
  if (!order || !['asc', 'desc'].includes(values.text('orderDirection')) || limit < 1 || limit > PAGE_MAX || page < 1) {
    world.violate('v1 was asked for a page that it does not have');
    throw new Refusal(1, '参数错误');
  }
  const drive = user.tree.all().filter(({ transcode }) => !transcode);
  const all = values.flag('trashed')
    ? drive.filter(({ trashed }) => trashed)
    : drive.filter((entry) => !inBin(entry) && entry.parent?.id === values.id('parentFileId'));
  const sorted = all.toSorted(order);
  if (values.text('orderDirection') === 'desc') sorted.reverse();
  return {
    total: sorted.length,
    fileList: sorted.slice((page - 1) * limit, page * limit).map((entry) => {
      const { fileId, createAt, updateAt, ...fields } = fileFields(user.tree, entry);
      return {
        ...fields,
        fileID: fileId,
        parentName: entry.parent?.name ?? '',
        contentType: '0',
        hidden: false,
        createAt: `${createAt} +0800 CST`,
        updateAt: `${updateAt} +0800 CST`,
        thumbnail: '',
        downloadUrl: '',
      };
    }),
  };
}

function detail(world: World, { user, values }: Asked): Fields {
  const id = values.id('fileID');
  if (id === 0n) world.violate('the root has no detail');
  const entry = user.tree.get(id);
  if (!entry) throw new Refusal(5066, '文件不存在');
  return {
    fileID: entry.id,
    filename: entry.name,
    type: entry.kind === 'folder' ? 1 : 0,
    size: sizeOf(user.tree, entry),
    etag: entry.content?.md5 ?? '',
    status: 0,
    parentFileID: entry.parent?.id ?? 0n,
    createAt: timeText(entry.createdAt),
    trashed: inBin(entry) ? 1 : 0,
  };
}
