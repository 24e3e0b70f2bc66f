import { checkEntryName } from '../shared/names.ts';
import { invalid, PROVIDER } from './errors.ts';

const FORBIDDEN = /["<>]/;

/** Refuses what 115 would refuse (20001, 20002, 20003), before anything is sent. */
export function checkName(name: string): void {
  checkEntryName(name, PROVIDER);
  if (FORBIDDEN.test(name)) throw invalid('does not take any of " < > in a name.');
}

const extensionOf = (name: string): string => /\.[^.]*$/.exec(name)?.[0] ?? '';

/** Whether a file of one name can be given the other: 115 keeps the extension, whatever it is told. */
export const keepsExtension = (from: string, to: string): boolean =>
  extensionOf(from).toLowerCase() === extensionOf(to).toLowerCase();
