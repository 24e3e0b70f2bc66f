import { directoryAt } from './lists.ts';
import { parseArray } from './manage.ts';
import type { Entry } from './tree.ts';
import { below, categoryOf, cloudMd5, isDirectory, isWithin, parentPath, pathOf, sizeOf } from './tree.ts';
import { fileView } from './views.ts';
import type { Call, Endpoint, Fields } from './wire.ts';
import { Refusal } from './wire.ts';
import type { User, World } from './world.ts';

const KEY_CHARACTERS_MAX = 30;
/** Fixed by the server, whatever `num` says. */
const PAGE = 500;
const HITS_MAX = 500;

/** `search` and `unisearch`. */
export function searchEndpoints(world: World): Endpoint[] {
  const pan = { role: 'pan', auth: 'token', requestId: 'number' } as const;
  return [
    {
      ...pan,
      envelope: 'errno',
      verbs: ['GET'],
      name: 'search',
      path: '/rest/2.0/xpan/file',
      method: 'search',
      query: 'key! dir category:int page:int num:int recursion:flag web:flag device_id',
      handle: (call, user) => search(world, call, user),
    },
    {
      ...pan,
      envelope: 'error_no',
      verbs: ['POST'],
      name: 'unisearch',
      path: '/xpan/unisearch',
      query: 'scene! query! dir category num:int stream:flag search_type:int sources',
      rawBody: true,
      handle: (call, user) => semanticSearch(world, call, user),
    },
  ];
}

interface Found {
  readonly entry: Entry;
  readonly path: string;
}

function search(world: World, call: Call, user: User): Fields {
  const { query } = call;
  const key = query.get('key') ?? '';
  if ([...key].length > KEY_CHARACTERS_MAX) world.refuse(2, `key is longer than ${KEY_CHARACTERS_MAX} characters`);
  const asked = Number(query.get('page') ?? 1);
  if (asked === 0) world.refuse(2, 'page counts from 1');
  const page = world.settings.searchPages ? asked : 1;
  const directory = query.get('dir') ?? '/';
  directoryAt(world, user, directory, -9);
  // By one report the mere presence of `recursion` turns it on.
  const recursive = query.has('recursion');
  const found = indexed(world, user).filter(
    ({ entry, path }) =>
      path !== directory &&
      (recursive ? isWithin(path, directory) : parentPath(path) === directory) &&
      entry.name.toLowerCase().includes(key.toLowerCase()) &&
      (!query.has('category') || categoryOf(entry) === Number(query.get('category'))),
  );
  const web = query.get('web') === '1';
  return {
    has_more: found.length > page * PAGE ? 1 : 0,
    list: found
      .slice((page - 1) * PAGE, page * PAGE)
      .map(({ entry, path }) => ({ ...fileView(world, entry, { web }), path })),
    contentlist: [],
  };
}

/** The index lags: it misses what is new, and keeps what was deleted. */
function indexed(world: World, user: User): Found[] {
  const lag = Math.floor(world.settings.searchLagMs / 1000);
  const live = [...below(user.root)].filter((entry) => entry.serverCtime + lag <= world.now);
  const gone = user.recycled.filter(({ deletedAt }) => deletedAt + lag > world.now);
  return [...live.map((entry) => ({ entry, path: pathOf(entry) })), ...gone];
}

function semanticSearch(world: World, call: Call, user: User): Fields {
  if (!user.options.searchGrant) throw new Refusal(20013, 'no permission', { status: world.settings.gatewayStatus });
  const { query } = call;
  const isJson = /^application\/json\b/i.test(call.headers['content-type'] ?? '');
  if (!isJson || call.body.toString().trim() !== '{}') world.refuse(2, 'unisearch wants the JSON body {}');
  if (query.get('scene') !== 'mcpserver') world.refuse(2, 'unisearch wants scene=mcpserver');
  if (query.get('stream') === '1') world.refuse(2, 'a streamed answer is not imitated');
  const num = Number(query.get('num') ?? HITS_MAX);
  if (num < 1 || num > HITS_MAX) world.refuse(2, `num is outside 1 to ${HITS_MAX}`);
  for (const name of ['dir', 'category', 'sources']) {
    const text = query.get(name);
    if (text !== null && !parseArray(text)) world.refuse(2, `${name} is not a JSON array`);
  }
  const categories = parseArray(query.get('category') ?? '');
  const sources = parseArray(query.get('sources') ?? '[4,11]') ?? [];
  const words = (query.get('query') ?? '').toLowerCase().split(/\s+/);
  // `dir` is a soft filter: hits outside of it were seen.
  const found = [...below(user.root)]
    .filter((entry) => words.some((word) => entry.name.toLowerCase().includes(word)))
    .filter((entry) => categories === null || categories.includes(categoryOf(entry)))
    .slice(0, num);
  const group = (source: number) => ({ source, list: found.map((entry) => hit(world, entry, source)) });
  // One file stands under each source that found it.
  return { error_no: 0, error_msg: '', data: [4, 11].filter((one) => sources.includes(one)).map(group), is_end: true };
}

function hit(world: World, entry: Entry, source: number): Fields {
  const path = pathOf(entry);
  return {
    fsid: world.id(entry.fsId),
    filename: entry.name,
    path,
    parent_path: parentPath(path),
    category: categoryOf(entry),
    size: sizeOf(entry),
    isdir: isDirectory(entry) ? 1 : 0,
    server_ctime: entry.serverCtime,
    server_mtime: entry.serverMtime,
    ...(!isDirectory(entry) && { md5: cloudMd5(entry) }),
    ocr: '',
    content: source === 11 ? 'a line of the text' : '',
    pid: '',
    source,
  };
}
