import mime from 'mime';
import type { FileCategory } from '../driver.ts';

/** Extensions whose MIME type does not tell what people use the file for. */
const BY_EXTENSION: ReadonlyMap<string, FileCategory> = new Map(
  Object.entries({
    TORRENT: 'torrent',
    APPLICATION: 'apk apkm apks xapk ipa exe msi msix appx dmg pkg deb rpm appimage snap flatpak jar bat cmd hap',
    DOCUMENT:
      'doc docx docm dot dotx xls xlsx xlsm xlsb xlt xltx ppt pptx pptm pps ppsx pot potx odt ods odp odg rtf pdf xps ' +
      'epub mobi azw azw3 djvu fb2 txt md markdown csv tsv tex log json xml yaml yml html htm chm wps et dps pages ' +
      'numbers key vsd vsdx eml msg ofd',
    VIDEO: 'mkv rmvb rm flv f4v ts mts m2ts vob asf wmv 3gp avi mpg mpeg',
    AUDIO: 'flac ape dsf dff wv tta opus amr m4a m4b wma',
    IMAGE: 'heic heif raw cr2 cr3 nef arw dng orf rw2 psd webp avif',
  } satisfies Partial<Record<FileCategory, string>>).flatMap(([category, extensions]) =>
    extensions.split(' ').map((extension) => [extension, category as FileCategory] as const),
  ),
);

const BY_TOP_LEVEL_TYPE: ReadonlyMap<string, FileCategory> = new Map([
  ['video', 'VIDEO'],
  ['audio', 'AUDIO'],
  ['image', 'IMAGE'],
  ['text', 'DOCUMENT'],
]);

/** The MIME type that a name's extension stands for; null when it stands for none. */
export const mimeTypeOf = (name: string): string | null => mime.getType(name);

/** What people use a file of this name for. */
export function categoryOf(name: string): FileCategory {
  const extension = /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  const topLevel = mimeTypeOf(name)?.split('/')[0] ?? '';
  return BY_EXTENSION.get(extension) ?? BY_TOP_LEVEL_TYPE.get(topLevel) ?? 'OTHER';
}
