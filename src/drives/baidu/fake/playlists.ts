import { categoryOf, pathOf, sizeOf } from './tree.ts';
import type { Call, Endpoint, Fields } from './wire.ts';
import { Refusal } from './wire.ts';
import type { Playlist, User, World } from './world.ts';

/** The lists of recordings that people put together in the vendor's application. */
export function playlistEndpoints(world: World): Endpoint[] {
  const pan = { role: 'pan', auth: 'token', envelope: 'errno', requestId: 'number' } as const;
  return [
    {
      ...pan,
      verbs: ['GET'],
      name: 'playlists',
      path: '/rest/2.0/xpan/broadcast/list',
      method: 'list',
      query: 'page:int psize:int',
      handle: (call, user) => page(world, call, user.playlists.map(listView)),
    },
    {
      ...pan,
      verbs: ['POST'],
      name: 'playlist-files',
      path: '/rest/2.0/xpan/broadcast/filelist',
      query: 'mb_id! showmeta:flag page:int psize:int',
      handle: (call, user) => files(world, call, user),
    },
  ];
}

const listView = (playlist: Playlist): Fields => ({
  mb_id: Number(playlist.id),
  name: playlist.name,
  file_count: playlist.files.length,
  ctime: playlist.ctime,
  mtime: playlist.ctime,
  btype: 1,
  bstype: 2,
});

function files(world: World, call: Call, user: User): Fields {
  const playlist = user.playlists.find(({ id }) => id === call.query.get('mb_id'));
  if (!playlist) throw new Refusal(50002, 'playlist does not exist');
  // Numbers come as strings here.
  const views = playlist.files.map((entry) => ({
    fs_id: entry.fsId,
    path: pathOf(entry),
    server_filename: entry.name,
    size: String(sizeOf(entry)),
    category: String(categoryOf(entry)),
  }));
  return page(world, call, views);
}

function page(world: World, call: Call, all: readonly Fields[]): Fields {
  const number = Number(call.query.get('page') ?? 1);
  const size = Number(call.query.get('psize') ?? 20);
  if (number < 1 || size < 1) world.refuse(2, 'page and psize count from 1');
  return { has_more: all.length > number * size ? 1 : 0, list: all.slice((number - 1) * size, number * size) };
}
