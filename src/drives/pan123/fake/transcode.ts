import { fileFields } from './lists.ts';
import type { Entry } from './tree.ts';
import { type Asked, type Endpoint, type Fields, Refusal, Reply } from './wire.ts';
import { timeText, type User, type World } from './world.ts';

const RESOLUTIONS = ['480p', '720p', '1080p'];
const PREPARING = 1;
const RUNNING = 2;
const DONE = 255;
const SEGMENT = 'segment-0';
const PLAYLIST = `#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n${SEGMENT}.ts\n#EXT-X-ENDLIST\n`;
/** Between two questions for an archive that is being packed, in milliseconds. */
const PACK_MS = 10_000;

export interface FakeVersion {
  /** With a capital P. */
  readonly resolution: string;
  readonly createdAt: number;
  polls: number;
  failed: boolean;
}

/** The space for films that are made into other versions, and what is done there. */
export function transcodeEndpoints(world: World, linkTo: (bytes: Buffer) => string) {
  const versions = new Map<Entry, FakeVersion[]>();
  const probes = new Map<Entry, number>();
  const packing = new Map<Entry, { readonly times: number; readonly at: number }>();
  const of = (entry: Entry): FakeVersion[] => versions.get(entry) ?? [];
  const film = ({ user, values }: Asked): Entry => {
    const entry = user.tree.get(values.id('fileId'));
    if (!entry?.transcode || !entry.content) throw new Refusal(1, '文件不在转码空间');
    return entry;
  };
  const statusOf = (version: FakeVersion): number => {
    if (version.failed) return 3;
    return version.polls > world.settings.transcodePolls ? DONE : version.polls > 0 ? RUNNING : PREPARING;
  };
  const playlistUrl = (entry: Entry, { resolution }: FakeVersion): string =>
    `${world.urls.cdn}/hls/${entry.id}/${resolution}.m3u8?t=1`;
  const post = (path: string, params: string, handle: (call: Asked) => unknown): Endpoint => ({
    role: 'api',
    verb: 'POST',
    path: `/api/v1/transcode/${path}`,
    auth: 'token',
    params,
    handle,
  });

  const fromDisk = ({ user, json }: Asked): unknown => {
    const wrapped = json && typeof json === 'object' && 'fileId' in json ? json.fileId : null;
    const given = world.settings.fromDisk === 'wrapped' ? wrapped : json;
    if (!Array.isArray(given) || given.length < 1 || given.length > 100) throw new Refusal(400, '参数错误');
    for (const item of given as { fileId?: unknown }[]) {
      if (typeof item?.fileId !== 'bigint') throw new Refusal(400, '参数错误');
      const source = user.tree.live(item.fileId);
      if (!source.content) throw new Refusal(1, '不支持文件夹');
      world.place(user, user.transcodeFolder, source.name, source.content);
    }
    return null;
  };

  const resolutions = (call: Asked): Fields => {
    const entry = film(call);
    const asked = (probes.get(entry) ?? 0) + 1;
    probes.set(entry, asked);
    return {
      IsGetResolution: asked <= world.settings.transcodePolls,
      Resolutions: asked <= world.settings.transcodePolls ? '' : RESOLUTIONS.join(','),
      NowOrFinishedResolutions: of(entry)
        .map(({ resolution }) => resolution.toLowerCase())
        .join(','),
      CodecNames: 'H.264',
      VideoTime: 51,
    };
  };

  const start = (call: Asked): string => {
    const entry = film(call);
    const { values } = call;
    for (const resolution of values.text('resolutions').split(',')) {
      if (!/^\d+P$/.test(resolution) || !RESOLUTIONS.includes(resolution.toLowerCase())) {
        world.violate(`a resolution is ${resolution}`);
        throw new Refusal(1, '参数错误');
      }
      if (of(entry).some((one) => one.resolution === resolution)) throw new Refusal(1, '该分辨率已转码');
      versions.set(entry, [...of(entry), { resolution, createdAt: world.now, polls: 0, failed: false }]);
    }
    if (values.text('codecName') !== 'H.264' || values.int('videoTime') !== 51) throw new Refusal(1, '参数错误');
    return '转码任务已提交';
  };

  const record = (call: Asked): Fields => {
    const entry = film(call);
    return {
      UserTranscodeVideoRecordList: of(entry).map((version) => {
        version.polls += 1;
        const status = statusOf(version);
        return {
          create_at: timeText(version.createdAt),
          resolution: version.resolution,
          status,
          link: status === DONE && world.settings.filmLinks === 'record' ? playlistUrl(entry, version) : '',
        };
      }),
    };
  };

  const result = (call: Asked): Fields => {
    const entry = film(call);
    return {
      UserTranscodeVideoList: of(entry).map((version) => {
        const { resolution: Resolution, createdAt } = version;
        const CreateAt = timeText(createdAt);
        const Url = world.settings.filmLinks === 'result' ? playlistUrl(entry, version) : '';
        const files = [
          { FileName: `${Resolution}.m3u8`, FileSize: '1.2KB', Resolution, CreateAt, Url },
          { FileName: '000.ts', FileSize: '2.1MB', Resolution, CreateAt, Url: '' },
        ];
        const Status = statusOf(version);
        return {
          ...{ Id: entry.id, Uid: call.user.uid, Resolution, Status, CreateAt, UpdateAt: CreateAt },
          Files: Status === DONE ? files : null,
        };
      }),
    };
  };

  const linkUnlessFull = (link: () => string): Fields => {
    const isFull = world.settings.transcodeFull;
    return { downloadUrl: isFull ? '' : link(), isFull };
  };

  const archive = (call: Asked): Fields => {
    const entry = film(call);
    if (!/^[^"\\/:*?|><]+$/.test(call.values.text('zipName'))) throw new Refusal(1, '参数错误');
    const ready = of(entry).filter((version) => statusOf(version) === DONE);
    if (ready.length === 0) throw new Refusal(1, '没有转码完成的文件');
    const asked = packing.get(entry) ?? { times: 0, at: Number.NEGATIVE_INFINITY };
    if (asked.times > 0 && asked.times < world.settings.packPolls && world.now - asked.at < PACK_MS) {
      world.violate('an archive that is being packed was asked for again before ten seconds were over');
    }
    packing.set(entry, { times: asked.times + 1, at: world.now });
    if (asked.times < world.settings.packPolls) return { isDownloading: true, isFull: false, downloadUrl: '' };
    const bytes = Buffer.from(`zip of ${ready.map(({ resolution }) => resolution).join(' ')}`);
    const link = () => `${linkTo(bytes)}&access_token=${call.grant.accessToken}`;
    return { isDownloading: false, ...linkUnlessFull(link) };
  };

  const endpoints: Endpoint[] = [
    post('folder/info', '', ({ user }) => ({ fileID: user.transcodeFolder.id })),
    post('upload/from_cloud_disk', '*', fromDisk),
    post('delete', 'fileId:int! businessType:int! trashed:int!', (call) => {
      const entry = film(call);
      if (call.values.int('businessType') !== 2) throw new Refusal(1, '参数错误');
      if (call.values.int('trashed') === 2) versions.delete(entry);
      call.user.tree.drop(entry);
      return '删除成功';
    }),
    post('video/resolutions', 'fileId:int!', resolutions),
    post('video', 'fileId:int! codecName:text! videoTime:int! resolutions:text!', start),
    post('video/record', 'fileId:int!', record),
    post('video/result', 'fileId:int!', result),
    post('m3u8_ts/download', 'fileId:int! resolution:text! type:int! tsName:text', (call) => {
      const entry = film(call);
      const { values } = call;
      const version = of(entry).find(({ resolution }) => resolution === values.text('resolution'));
      if (!version || statusOf(version) !== DONE) throw new Refusal(1, '转码未完成');
      const isSegment = values.int('type') === 2;
      if (values.int('type') !== 1 && !isSegment) throw new Refusal(1, '参数错误');
      if (isSegment !== values.has('tsName')) world.violate('the name of a segment does not go with the type');
      if (isSegment && values.text('tsName') !== SEGMENT) throw new Refusal(1, 'ts文件不存在');
      // A file each: what stands beside it is not there.
      const bytes = isSegment ? `bytes of /hls/${entry.id}/${version.resolution}/${SEGMENT}.ts` : PLAYLIST;
      return linkUnlessFull(() => linkTo(Buffer.from(bytes)));
    }),
    post('file/download', 'fileId:int!', (call) => {
      const { content } = film(call);
      return linkUnlessFull(() => linkTo(content?.bytes ?? Buffer.alloc(0)));
    }),
    post('file/download/all', 'fileId:int! zipName:text!', archive),
    {
      role: 'api',
      verb: 'GET',
      path: '/api/v1/video/transcode/list',
      auth: 'token',
      params: 'fileId:int!',
      handle: ({ user, values, grant }) => {
        if (grant.kind !== 'oauth') throw new Refusal(403, '无权限');
        const source = user.tree.live(values.id('fileId'));
        return { status: DONE, list: oauthVersions(world, source) };
      },
    },
    {
      role: 'cdn',
      verb: 'GET',
      path: '/hls/*',
      auth: 'none',
      bytes: true,
      params: '*',
      answer: ({ path }) =>
        path.endsWith('.m3u8')
          ? new Reply(200, { 'content-type': 'application/vnd.apple.mpegurl' }, PLAYLIST)
          : new Reply(200, { 'content-type': 'video/mp2t' }, `bytes of ${path}`),
    },
  ];
  return {
    endpoints,
    /** What is in the space of a user, as its list shows it. */
    films: (user: User): Fields[] =>
      user.tree
        .all()
        .filter(({ transcode, parent }) => transcode && parent !== null)
        .map((entry) => fileFields(user.tree, entry)),
    fail: (user: User): void => {
      for (const [entry, list] of versions)
        if (user.tree.get(entry.id) === entry) for (const one of list) one.failed = true;
    },
  };
}

const oauthVersions = (world: World, source: Entry): Fields[] =>
  ['720P', '1080P'].map((resolution) => ({
    url: `${world.urls.cdn}/hls/${source.id}/${resolution}.m3u8`,
    resolution,
    duration: 51.2,
    height: Number.parseInt(resolution, 10),
    status: resolution === '720P' ? DONE : RUNNING,
    mc: '',
    bitRate: 1_000_000,
    progress: resolution === '720P' ? 100 : 50,
    updateAt: timeText(source.updatedAt),
  }));
