import { checkEntryName } from '../shared/names.ts';
import { invalid } from './client.ts';
import { PROVIDER } from './errors.ts';

const FORBIDDEN = /["\\/:*?|><]/;
/** Documents say below 255 in one place and below 256 in another. */
export const NAME_CHARACTERS_MAX = 254;

/** Refuses what 123pan would refuse, before anything is sent. */
export function checkName(name: string): void {
  checkEntryName(name, PROVIDER);
  if (FORBIDDEN.test(name)) throw invalid('does not take any of " \\ / : * ? | > < in a name.');
  if (name.length > NAME_CHARACTERS_MAX) throw invalid(`takes names of up to ${NAME_CHARACTERS_MAX} characters.`);
}
