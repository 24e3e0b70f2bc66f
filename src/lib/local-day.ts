/** A calendar day of a time zone, and the moment at which it is over. */
export interface LocalDay {
  /** `YYYY-MM-DD`. */
  readonly name: string;
  readonly endsAt: Date;
}

/** Longer than any day: 25 hours where summer time ends, 48 where a zone once went back over the date line. */
const SEARCH_SECONDS = 49 * 3600;

/**
 * Tells the days of one time zone. A day is not always 24 hours and midnight does not always exist (summer time that
 * begins at 00:00), so the end is searched for: the first second with a later date.
 */
export function createLocalDays(timeZone: string): (at: Date) => LocalDay {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
  let known: { readonly startsAt: number; readonly day: LocalDay } | null = null;

  return (at) => {
    const time = at.getTime();
    if (known && time >= known.startsAt && time < known.day.endsAt.getTime()) return known.day;
    const name = format.format(at);
    const second = Math.floor(time / 1000);
    let before = 0;
    let after = SEARCH_SECONDS;
    while (after - before > 1) {
      const middle = (before + after) >>> 1;
      if (format.format((second + middle) * 1000) > name) after = middle;
      else before = middle;
    }
    const day = { name, endsAt: new Date((second + after) * 1000) };
    known = { startsAt: time, day };
    return day;
  };
}
