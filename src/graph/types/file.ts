import type { FileCategory, HashAlgorithm } from '../../drives/driver.ts';
import type { EntryView } from '../../services/entries.ts';
import { builder } from '../builder.ts';
import { enumValues } from '../enums.ts';
import { EntryInterface, entryNodeId, loadEntries } from './entry.ts';

const CATEGORIES: Readonly<Record<FileCategory, string>> = {
  VIDEO: 'Films and clips.',
  AUDIO: 'Music and speech.',
  IMAGE: 'Pictures.',
  DOCUMENT: 'Texts, tables, slides, e-books.',
  APPLICATION: 'Programs and installers.',
  TORRENT: 'BitTorrent seeds.',
  OTHER: 'Anything else, archives too.',
};

export const FileCategoryEnum = builder.enumType('FileCategory', {
  description: 'What people use a file for.',
  values: enumValues(CATEGORIES),
});

const ALGORITHMS: Readonly<Record<HashAlgorithm, string>> = {
  MD5: 'MD5, 32 hex digits.',
  SHA1: 'SHA-1, 40 hex digits.',
  SHA256: 'SHA-256, 64 hex digits.',
  CRC32: 'CRC-32 (ISO-HDLC), 8 hex digits.',
};

export const HashAlgorithmEnum = builder.enumType('HashAlgorithm', {
  description: 'How a content hash is made.',
  values: enumValues(ALGORITHMS),
});

const ContentHash = builder
  .objectRef<{ readonly algorithm: HashAlgorithm; readonly value: string }>('ContentHash')
  .implement({
    description: "A hash of a file's bytes. Only true content hashes: what a provider invents is left out.",
    fields: (t) => ({
      algorithm: t.expose('algorithm', { type: HashAlgorithmEnum, description: 'How it is made.' }),
      value: t.exposeString('value', { description: 'Lower-case hex.' }),
    }),
  });

export const File = builder.objectRef<EntryView>('File');

builder.node(File, {
  description: 'A file on any drive. Its bytes go by `createDownloadTicket`.',
  interfaces: () => [EntryInterface],
  id: {
    resolve: (view) => entryNodeId(view),
    description: 'Stays the same when it is renamed or moved, where the provider has such ids.',
  },
  loadMany: (keys, context) => loadEntries('FILE', keys, context),
  fields: (t) => ({
    mimeType: t.string({
      nullable: true,
      description: 'Its media type, as in `image/png`; null where the provider does not tell.',
      resolve: ({ entry }) => entry.mimeType,
    }),
    category: t.field({
      type: FileCategoryEnum,
      description: 'What people use it for: as the provider tells, else by its name.',
      resolve: (view, _args, { services }) => services.entries.categoryOf(view),
    }),
    hashes: t.field({
      type: [ContentHash],
      description: 'Hashes of its bytes; empty where the provider tells none.',
      resolve: ({ entry }) =>
        Object.entries(entry.hashes).map(([algorithm, value]) => ({ algorithm: algorithm as HashAlgorithm, value })),
    }),
  }),
});
