/** The type alone, without parameters; null when it is none, as the other side may say anything. */
export function plainMimeType(type: string | null | undefined): string | null {
  const plain = type?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return plain.length <= 128 && /^[\w.+-]+\/[\w.+-]+$/.test(plain) ? plain : null;
}
