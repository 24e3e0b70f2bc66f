import type {
  MediaProgress as DriveMediaProgress,
  DriveMediaVersion,
  DriveThumbnail,
  MediaVersionState,
} from '../../drives/contract/media.ts';
import type { ProviderLink as DriveLink } from '../../drives/driver.ts';
import type { EntryView } from '../../services/entries.ts';
import type { MediaView, SubtitleView } from '../../services/media.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { HttpHeader } from './download.ts';
import { EntryRefInput, entryTarget } from './entry.ts';
import { File } from './file.ts';
import { DRIVE_ERRORS } from './user-error.ts';

const Thumbnail = builder.objectRef<DriveThumbnail>('Thumbnail').implement({
  description: 'A small picture of a file.',
  fields: (t) => ({
    url: t.exposeString('url', {
      description:
        'Where to get it, from the provider, without signing in there. Some providers want their own User-Agent.',
    }),
    width: t.exposeInt('width', { nullable: true, description: 'In pixels; null where unknown.' }),
    height: t.exposeInt('height', { nullable: true, description: 'In pixels; null where unknown.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Until when the URL works; null: for ever, or unknown.',
    }),
  }),
});

const ProviderLink = builder.objectRef<DriveLink>('ProviderLink').implement({
  description: 'An address at the provider, and what it takes to use it. Whoever has it has the right: keep it secret.',
  fields: (t) => ({
    url: t.exposeString('url', { description: 'The address.' }),
    headers: t.field({
      type: [HttpHeader],
      description: 'Headers without which the provider refuses; most often none.',
      resolve: ({ headers }) => Object.entries(headers).map(([name, value]) => ({ name, value })),
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Until when it works; null: for ever, or unknown.',
    }),
  }),
});

const Subtitle = builder.objectRef<SubtitleView>('Subtitle').implement({
  description: 'Subtitles of a film.',
  fields: (t) => ({
    url: t.exposeString('url', {
      description: 'Where to get them, from this server, without signing in. Whoever has it has the right.',
    }),
    name: t.exposeString('name', {
      nullable: true,
      description: 'As the provider calls them; null where it does not.',
    }),
    language: t.exposeString('language', {
      nullable: true,
      description: 'Their language (BCP 47), as `zh`; null where unknown.',
    }),
    format: t.exposeString('format', { description: 'The kind of file: `srt`, `vtt`, `ass`.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'Until when the URL works.' }),
  }),
});

const MediaProgress = builder.objectRef<DriveMediaProgress>('MediaProgress').implement({
  description: 'How far a film was watched, as its provider remembers it for all devices of the account.',
  fields: (t) => ({
    positionSeconds: t.exposeFloat('positionSeconds', { description: 'From the beginning, in seconds.' }),
    at: t.expose('at', {
      type: 'DateTime',
      nullable: true,
      description: 'When the provider was told; null where unknown.',
    }),
  }),
});

const VERSION_STATES: Readonly<Record<MediaVersionState, string>> = {
  AVAILABLE: 'It can be made: ask for it by `transcodeFile`.',
  PENDING: 'It was asked for, and waits.',
  RUNNING: 'It is being made.',
  READY: 'It can be played: see `MediaInfo.playlist` with this quality.',
  FAILED: 'It could not be made.',
};

const MediaVersionStateEnum = builder.enumType('MediaVersionState', {
  description: 'How far a version of a film is.',
  values: enumValues(VERSION_STATES),
});

const MediaVersion = builder.objectRef<DriveMediaVersion>('MediaVersion').implement({
  description: 'A version of a film for streaming, which its provider makes.',
  fields: (t) => ({
    quality: t.exposeString('quality', {
      description: 'As the provider names it: for `transcodeFile` and `playlist`.',
    }),
    state: t.expose('state', { type: MediaVersionStateEnum, description: 'How far it is.' }),
    requestedAt: t.expose('requestedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was asked for; null: not yet, or unknown.',
    }),
  }),
});

const MediaInfo = builder.objectRef<MediaView>('MediaInfo').implement({
  description: 'What the provider knows of a video, sound or picture. It is asked only for what is selected.',
  fields: (t) => ({
    durationSeconds: t.float({
      nullable: true,
      description: 'How long it plays, in seconds; null where unknown.',
      resolve: async ({ info }) => (await info())?.durationSeconds ?? null,
    }),
    width: t.int({
      nullable: true,
      description: 'In pixels; null where unknown.',
      resolve: async ({ info }) => (await info())?.width ?? null,
    }),
    height: t.int({
      nullable: true,
      description: 'In pixels; null where unknown.',
      resolve: async ({ info }) => (await info())?.height ?? null,
    }),
    playlistUrl: t.string({
      nullable: true,
      description:
        'A playlist (HLS) to stream it; null where the provider makes none. By way of this server where the provider hides its own: any player can open it then. Else see `playlist` for headers that it may need. May take seconds: some providers play an advertisement first.',
      args: {
        quality: t.arg.string({ description: "A quality as the provider names it; left out: the provider's best." }),
      },
      resolve: async ({ playlist }, { quality }) => (await playlist(quality ?? null))?.url ?? null,
    }),
    playlist: t.field({
      type: ProviderLink,
      nullable: true,
      description: 'The same playlist, with what it takes to use it; null where the provider makes none.',
      args: {
        quality: t.arg.string({ description: "A quality as the provider names it; left out: the provider's best." }),
      },
      resolve: ({ playlist }, { quality }) => playlist(quality ?? null),
    }),
    subtitles: t.field({
      type: [Subtitle],
      nullable: true,
      description: 'Its subtitles, none where it has none; null where the provider keeps none of any film.',
      resolve: async ({ subtitles }) => {
        const all = await subtitles();
        return all && [...all];
      },
    }),
    versions: t.field({
      type: [MediaVersion],
      nullable: true,
      description:
        'Versions for streaming that there are, are being made or can be made; null where the provider makes none. Of a film that was never given to `transcodeFile`, most know none yet.',
      resolve: async ({ versions }) => {
        const all = await versions();
        return all && [...all];
      },
    }),
    progress: t.field({
      type: MediaProgress,
      nullable: true,
      description: 'How far it was watched; null where it never was, or the provider remembers nothing.',
      resolve: ({ progress }) => progress(),
    }),
  }),
});

builder.objectFields(File, (t) => ({
  thumbnails: t.field({
    type: [Thumbnail],
    nullable: true,
    description: 'Small pictures of it; null where the provider makes none. May cost a request of its own.',
    resolve: async (view, _args, { services, signal }) => {
      const thumbnails = await services.media.thumbnails(view, { signal });
      return thumbnails && [...thumbnails];
    },
  }),
  preview: t.field({
    type: ProviderLink,
    nullable: true,
    description:
      'Where the provider shows it, as a page or a picture; null where it does not. May cost a request of its own.',
    resolve: (view, _args, { services, signal }) => services.media.preview(view, { signal }),
  }),
  media: t.field({
    type: MediaInfo,
    nullable: true,
    description: 'What the provider knows of a video, sound or picture; null where it tells nothing.',
    resolve: (view, _args, context) => context.services.media.of(viewerOf(context), view, context),
  }),
}));

const TranscodeFileInput = builder.inputType('TranscodeFileInput', {
  description: 'A film to make another version of.',
  fields: (t) => ({
    file: t.field({ type: EntryRefInput, required: true, description: 'The film.' }),
    quality: t.string({ required: true, description: 'The quality wanted, as the provider names it.' }),
  }),
});

const TranscodeFilePayload = builder.objectRef<{ readonly file: EntryView }>('TranscodeFilePayload').implement({
  description: 'The film, while its provider works.',
  fields: (t) => ({
    file: t.expose('file', { type: File, description: 'The film. Ask its `media` for the playlist in a while.' }),
  }),
});

builder.mutationField('transcodeFile', (t) =>
  t.field({
    type: TranscodeFilePayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Asks the provider to make a version of a film for streaming. It goes on there after the answer; `UnsupportedError` where the provider has no such service.',
    args: { input: t.arg({ type: TranscodeFileInput, required: true, description: 'Which film, and how good.' }) },
    resolve: async (_root, { input }, context) => ({
      file: await context.services.media.transcode(
        viewerOf(context),
        entryTarget(input.file, 'input.file'),
        input.quality,
      ),
    }),
  }),
);

const SaveMediaProgressInput = builder.inputType('SaveMediaProgressInput', {
  description: 'How far a film was watched.',
  fields: (t) => ({
    file: t.field({ type: EntryRefInput, required: true, description: 'The film.' }),
    positionSeconds: t.float({ required: true, description: 'From the beginning, in seconds; 0 forgets it.' }),
    finished: t.boolean({ description: 'It was watched to its end. Default false.' }),
  }),
});

const SaveMediaProgressPayload = builder.objectRef<{ readonly file: EntryView }>('SaveMediaProgressPayload').implement({
  description: 'The film, whose provider was told.',
  fields: (t) => ({ file: t.expose('file', { type: File, description: 'The film.' }) }),
});

builder.mutationField('saveMediaProgress', (t) =>
  t.field({
    type: SaveMediaProgressPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Tells the provider how far a film was watched, so that other devices of the account go on there. `UnsupportedError` where the provider remembers nothing.',
    args: { input: t.arg({ type: SaveMediaProgressInput, required: true, description: 'Which film, and how far.' }) },
    resolve: async (_root, { input }, context) => ({
      file: await context.services.media.saveProgress(viewerOf(context), entryTarget(input.file, 'input.file'), {
        positionSeconds: input.positionSeconds,
        finished: input.finished ?? false,
      }),
    }),
  }),
);

const DeleteMediaVersionsInput = builder.inputType('DeleteMediaVersionsInput', {
  description: 'A film whose versions go.',
  fields: (t) => ({ file: t.field({ type: EntryRefInput, required: true, description: 'The film; it stays.' }) }),
});

const DeleteMediaVersionsPayload = builder
  .objectRef<{ readonly file: EntryView }>('DeleteMediaVersionsPayload')
  .implement({
    description: 'The film without versions.',
    fields: (t) => ({ file: t.expose('file', { type: File, description: 'The film.' }) }),
  });

builder.mutationField('deleteMediaVersions', (t) =>
  t.field({
    type: DeleteMediaVersionsPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Deletes the versions of a film that its provider made by `transcodeFile`. Those still being made end too. The film itself stays.',
    args: { input: t.arg({ type: DeleteMediaVersionsInput, required: true, description: 'Which film.' }) },
    resolve: async (_root, { input }, context) => ({
      file: await context.services.media.deleteVersions(viewerOf(context), entryTarget(input.file, 'input.file')),
    }),
  }),
);
