import type { DriveTorrent } from '../../drives/contract/offline.ts';
import type { OfflineTaskView } from '../../services/offline/lists.ts';
import { TORRENT_INDEXES_MAX } from '../../services/offline/torrents.ts';
import { builder } from '../builder.ts';
import { viewerOf } from '../context.ts';
import { EntryRefInput, entryTarget } from './entry.ts';
import { File } from './file.ts';
import { OfflineTask } from './offline.ts';
import { DRIVE_ERRORS } from './user-error.ts';

const TorrentFile = builder.objectRef<DriveTorrent['files'][number]>('TorrentFile').implement({
  description: 'A file that a torrent names.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'Its place in the torrent, from 0: for `addOfflineTorrent`.' }),
    path: t.exposeString('path', {
      description: 'Where it goes, below the folder of the torrent, with `/` between the names.',
    }),
    size: t.field({
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes it has; null where the provider does not tell.',
      resolve: ({ sizeBytes }) => sizeBytes,
    }),
    selected: t.boolean({
      description: 'Whether the provider downloads it when no files are named.',
      resolve: ({ preselected }) => preselected,
    }),
  }),
});

const Torrent = builder.objectRef<DriveTorrent>('Torrent').implement({
  description: 'What a torrent file on a drive would bring, as its provider reads it.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What it is called.' }),
    infoHash: t.string({
      description: "The torrent's own hash, hex, as in a magnet link of it.",
      resolve: ({ taskRef }) => taskRef,
    }),
    size: t.field({
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes all its files have; null where the provider does not tell.',
      resolve: ({ sizeBytes }) => sizeBytes,
    }),
    files: t.field({
      type: [TorrentFile],
      description: 'All its files.',
      resolve: ({ files }) => [...files],
    }),
  }),
});

builder.objectFields(File, (t) => ({
  torrent: t.field({
    type: Torrent,
    nullable: true,
    description:
      'What it would bring, of a torrent file; null where it is none, or the drive downloads no torrents. Costs a request of its own.',
    resolve: (view, _args, { services, signal }) => services.offlineTorrents.of(view, { signal }),
  }),
}));

const AddOfflineTorrentInput = builder.inputType('AddOfflineTorrentInput', {
  description: 'A torrent file on a drive, of which the provider is to download files.',
  fields: (t) => ({
    file: t.field({
      type: EntryRefInput,
      required: true,
      description: 'The torrent file. What it names comes into the account that it is in.',
    }),
    fileIndexes: t.intList({
      description: `Which of its files, by \`TorrentFile.index\`: from 1 to ${TORRENT_INDEXES_MAX}. Left out: those that the provider selects.`,
    }),
    destination: t.field({
      type: EntryRefInput,
      description: 'A folder of the same account; left out: where the provider puts such files by itself.',
    }),
    idempotencyKey: t.string({
      description: 'A UUID, say: a repetition with the same key and input begins nothing again. Kept for a day.',
    }),
  }),
});

const AddOfflineTorrentPayload = builder
  .objectRef<{ readonly task: OfflineTaskView }>('AddOfflineTorrentPayload')
  .implement({
    description: 'The provider downloads the torrent.',
    fields: (t) => ({
      task: t.expose('task', {
        type: OfflineTask,
        description: 'Its task; the one that the account had of this torrent already, as it is, where there was one.',
      }),
    }),
  });

builder.mutationField('addOfflineTorrent', (t) =>
  t.field({
    type: AddOfflineTorrentPayload,
    skipTypeScopes: true,
    authScopes: { scope: 'WRITE' },
    errors: { types: [...DRIVE_ERRORS] },
    description:
      'Has the provider download files of a torrent file that is on its drive; no byte passes through this server. See `File.torrent` for what it names. Follow the task by `offlineTaskUpdated`. `UnsupportedError` where the drive downloads no torrents.',
    args: {
      input: t.arg({ type: AddOfflineTorrentInput, required: true, description: 'Which torrent, and where to.' }),
    },
    resolve: async (_root, { input: { file, destination, ...input } }, context) => ({
      task: await context.services.offlineTorrents.add(viewerOf(context), {
        ...input,
        file: entryTarget(file, 'input.file'),
        destination: destination && { target: entryTarget(destination, 'input.destination') },
      }),
    }),
  }),
);
