import { dlinkOf } from './download.ts';
import type { Entry } from './tree.ts';
import { below, categoryOf, isDirectory, isWithin, pathOf, sizeOf } from './tree.ts';
import { coreView, extras, thumbs } from './views.ts';
import type { Call, Endpoint, Fields } from './wire.ts';
import type { User, World } from './world.ts';

const IDS_MAX = 100;

/** `filemetas`. */
export function metaEndpoints(world: World): Endpoint[] {
  return [
    {
      role: 'pan',
      verbs: ['GET'],
      auth: 'token',
      envelope: 'errno',
      path: '/rest/2.0/xpan/multimedia',
      requestId: 'text',
      name: 'filemetas',
      method: 'filemetas',
      query: 'fsids! dlink:flag thumb:flag extra:flag needmedia:flag detail:flag path device_id from_apaas:flag',
      handle: (call, user) => fileMetas(world, call, user),
    },
  ];
}

function fileMetas(world: World, call: Call, user: User): Fields {
  const text = call.query.get('fsids') ?? '';
  if (!/^\[\s*\d+(?:\s*,\s*\d+)*\s*\]$/.test(text)) world.refuse(2, 'fsids is not a JSON array of whole numbers');
  const ids = new Set(text.match(/\d+/g));
  if (ids.size > IDS_MAX) world.refuse(2, `fsids names more than ${IDS_MAX} entries`);
  // `path` switches to a shared or private area, where ordinary files are not.
  const { scope, appRoot } = world.settings;
  const found = [...below(user.root)].filter(
    (entry) => ids.has(entry.fsId) && !call.query.has('path') && (scope !== 'all' || isWithin(pathOf(entry), appRoot)),
  );
  return {
    errmsg: 'succ',
    list: shuffled(world, found).map((entry) => metaView(world, entry, { user, query: call.query })),
    names: {},
  };
}

function metaView(world: World, entry: Entry, { user, query }: { user: User; query: URLSearchParams }): Fields {
  const asked = (name: string) => query.get(name) === '1';
  const { width, height, dateTaken, durationMs } = entry.media;
  return {
    ...coreView(world, entry),
    filename: entry.name,
    oper_id: world.id(user.uk),
    ...(asked('thumb') && thumbs(world, entry, true)),
    ...(asked('extra') && categoryOf(entry) === 3 && imageView({ width, height, dateTaken })),
    ...(asked('needmedia') && durationMs !== undefined && { duration: Math.ceil(durationMs / 1000) }),
    ...(asked('detail') && durationMs !== undefined && { media_info: mediaView(entry, durationMs) }),
    ...(asked('dlink') && !isDirectory(entry) && { dlink: dlinkOf(world, entry, user) }),
    ...extras(world),
  };
}

function imageView(image: {
  width: number | undefined;
  height: number | undefined;
  dateTaken: number | undefined;
}): Fields {
  const known = { width: image.width, height: image.height, date_taken: image.dateTaken };
  return { ...known, ...(image.width !== undefined && { orientation: 'top-left' }) };
}

function mediaView(entry: Entry, durationMs: number): Fields {
  const { width = 0, height = 0 } = entry.media;
  return {
    channels: 2,
    duration: Math.ceil(durationMs / 1000),
    duration_ms: durationMs,
    extra_info: '',
    file_size: String(sizeOf(entry)),
    frame_rate: 25,
    height,
    meta_info: '',
    resolution: width > 0 ? `width:${width},height:${height}` : '',
    rotate: 0,
    sample_rate: 44_100,
    use_segment: 0,
    width,
  };
}

/** The service promises no order. */
function shuffled(world: World, entries: readonly Entry[]): Entry[] {
  return entries
    .map((entry) => ({ entry, place: world.random() }))
    .toSorted((a, b) => a.place - b.place || pathOf(a.entry).localeCompare(pathOf(b.entry)))
    .map(({ entry }) => entry);
}
