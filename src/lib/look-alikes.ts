/**
 * Letters that are drawn like a Latin one, by that letter (after NFKC and lower case).
 * Source: Unicode's confusables.txt, the single letters of Latin, Cyrillic, Greek and Armenian that fold to a-z.
 */
const DRAWN_LIKE: Readonly<Record<string, string>> = {
  a: 'аɑα',
  b: 'ьƅ',
  c: 'сϲ',
  d: 'ԁ',
  e: 'еҽ',
  g: 'ɡց',
  h: 'һհ',
  i: 'іıιɩ',
  j: 'јϳ',
  k: 'кκ',
  l: 'ӏ',
  m: 'м',
  n: 'ոռ',
  o: 'оοσօ',
  p: 'рρ',
  q: 'ԛգ',
  r: 'г',
  s: 'ѕ',
  t: 'тτ',
  u: 'υսʋ',
  v: 'νѵ',
  w: 'ԝѡա',
  x: 'хχ',
  y: 'уγү',
};
const LATIN_LETTER = new Map(
  Object.entries(DRAWN_LIKE).flatMap(([letter, others]) => [...others].map((other) => [other, letter] as const)),
);

/**
 * The text with each letter that looks like a Latin one as that one: what names are compared by, never shown. Stored keys
 * are made with it, so a letter that is added here needs a migration of the keys.
 */
export const foldLookAlikes = (text: string): string =>
  [...text.replaceAll('i\u0307', 'i')].map((character) => LATIN_LETTER.get(character) ?? character).join('');

const NEUTRAL = '\\p{Script=Common}\\p{Script=Inherited}';

/** What Japanese, Chinese and Korean write with, Latin included. Source: UTS 39, section 5.2, "highly restrictive". */
const JOINT_SCRIPTS = ['\\p{Script=Hiragana}\\p{Script=Katakana}', '\\p{Script=Bopomofo}', '\\p{Script=Hangul}'].map(
  (own) => new RegExp(`^[\\p{Script=Latin}\\p{Script=Han}${own}${NEUTRAL}]*$`, 'u'),
);

/** Alphabets that borrow each other's shapes: a name in one of them holds no letter of another. */
const LONELY_SCRIPTS = ['Latin', 'Cyrillic', 'Greek', 'Armenian', 'Cherokee', 'Coptic'].map((script) => ({
  has: new RegExp(`\\p{Script=${script}}`, 'u'),
  hasOther: new RegExp(`[^\\p{Script=${script}}${NEUTRAL}]`, 'u'),
}));

/** Whether the text mixes alphabets as no language does: `pаypal` with a Cyrillic `а`. */
export function mixesScripts(text: string): boolean {
  if (JOINT_SCRIPTS.some((joint) => joint.test(text))) return false;
  return LONELY_SCRIPTS.some(({ has, hasOther }) => has.test(text) && hasOther.test(text));
}
