interface ReviverContext {
  /** The literal as it was written; absent for objects and arrays. */
  readonly source?: string;
}
type Reviver = (key: string, value: unknown, context: ReviverContext) => unknown;

// The standard library's types do not know these parts of ECMAScript 2026 yet; Node 24 has them.
const parse = JSON.parse as (text: string, reviver?: Reviver) => unknown;
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** Without 16 digits in a row, or an exponent, no number can be beyond 2⁵³: then the plain, seven times faster parse does. */
const MAY_LOSE_DIGITS = /\d{16}|(?:^|[[:,\s])-?\d+(?:\.\d+)?e\+?\d/i;

/**
 * Parses JSON without losing digits: an integer beyond ±(2⁵³ − 1), in whatever notation, becomes the string that stood in
 * the text (`12345678901234567890`, `1.8e+17`). Numbers under a key of `textKeys` always become strings, so that an id has
 * one type, large or small. Other numbers stay numbers.
 * @throws SyntaxError when the text is not JSON; RangeError when it is nested too deep.
 */
export function parseLossless(text: string, textKeys: ReadonlySet<string> = NO_KEYS): unknown {
  if (textKeys.size === 0 && !MAY_LOSE_DIGITS.test(text)) return parse(text);
  return parse(text, (key, value, { source }) => {
    if (typeof value !== 'number' || source === undefined) return value;
    const exact = Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value));
    return exact && !textKeys.has(key) ? value : source;
  });
}

const NO_KEYS: ReadonlySet<string> = new Set();

/** Whether a value is a JSON object, and no list. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * A whole number given as text, for `JSON.stringify`: written without quotes and without going through a float.
 * @throws TypeError when the text is not a whole number.
 */
export function jsonInteger(digits: string): unknown {
  if (!/^-?\d+$/.test(digits)) throw new TypeError('A whole number was expected, in decimal digits.');
  return rawJSON(digits.replace(/^(-?)0+(?=\d)/, '$1'));
}
