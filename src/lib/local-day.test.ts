import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLocalDays } from './local-day.ts';

/** zone, moment, day, its end; the ends were worked out by hand from the zones' rules. */
const DAYS: readonly (readonly [string, string, string, string])[] = [
  ['UTC', '2026-11-20T08:30:00Z', '2026-11-20', '2026-11-21T00:00:00Z'],
  ['UTC', '2026-11-20T00:00:00Z', '2026-11-20', '2026-11-21T00:00:00Z'],
  ['UTC', '2026-11-20T23:59:59.999Z', '2026-11-20', '2026-11-21T00:00:00Z'],
  ['UTC', '2028-02-28T12:00:00Z', '2028-02-28', '2028-02-29T00:00:00Z'],
  ['UTC', '2026-12-31T12:00:00Z', '2026-12-31', '2027-01-01T00:00:00Z'],
  ['Asia/Shanghai', '2026-11-20T15:59:59Z', '2026-11-20', '2026-11-20T16:00:00Z'],
  ['Asia/Shanghai', '2026-11-20T16:00:00Z', '2026-11-21', '2026-11-21T16:00:00Z'],
  // Offsets of half and quarter hours.
  ['Asia/Kolkata', '2026-11-20T18:29:59Z', '2026-11-20', '2026-11-20T18:30:00Z'],
  ['Asia/Kathmandu', '2026-11-20T18:15:00Z', '2026-11-21', '2026-11-21T18:15:00Z'],
  ['Pacific/Chatham', '2026-01-10T10:14:59Z', '2026-01-10', '2026-01-10T10:15:00Z'],
  // The two ends of the date line.
  ['Pacific/Kiritimati', '2026-11-20T10:00:00Z', '2026-11-21', '2026-11-21T10:00:00Z'],
  ['Pacific/Niue', '2026-11-20T10:00:00Z', '2026-11-19', '2026-11-20T11:00:00Z'],
  // Days of 23 and of 25 hours.
  ['Europe/Berlin', '2026-03-28T23:00:00Z', '2026-03-29', '2026-03-29T22:00:00Z'],
  ['Europe/Berlin', '2026-10-24T22:00:00Z', '2026-10-25', '2026-10-25T23:00:00Z'],
  ['America/New_York', '2026-03-08T05:00:00Z', '2026-03-08', '2026-03-09T04:00:00Z'],
  ['America/New_York', '2026-11-01T04:00:00Z', '2026-11-01', '2026-11-02T05:00:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T13:00:00Z', '2026-04-05', '2026-04-05T13:30:00Z'],
  // Summer time begins at midnight: the day begins at 01:00, and the one before it ends as ever.
  ['America/Santiago', '2026-09-06T03:59:59Z', '2026-09-05', '2026-09-06T04:00:00Z'],
  ['America/Santiago', '2026-09-06T04:00:00Z', '2026-09-06', '2026-09-07T03:00:00Z'],
  ['Asia/Beirut', '2026-03-28T21:59:59Z', '2026-03-28', '2026-03-28T22:00:00Z'],
  // A day that a zone left out.
  ['Pacific/Apia', '2011-12-30T09:59:59Z', '2011-12-29', '2011-12-30T10:00:00Z'],
  ['Pacific/Apia', '2011-12-30T10:00:00Z', '2011-12-31', '2011-12-31T10:00:00Z'],
];

describe('local day', () => {
  for (const [zone, at, name, endsAt] of DAYS) {
    it(`${zone} at ${at} is ${name} until ${endsAt}`, () => {
      const day = createLocalDays(zone)(new Date(at));
      assert.deepEqual({ name: day.name, endsAt: day.endsAt.getTime() }, { name, endsAt: Date.parse(endsAt) });
    });
  }

  it('follows a clock that goes on, and one that is set back', () => {
    const dayAt = createLocalDays('Europe/Berlin');
    const names = [
      '2026-10-25T22:59:59.999Z',
      '2026-10-25T23:00:00Z',
      '2026-10-24T21:59:59Z',
      '2026-10-25T12:00:00Z',
    ].map((at) => dayAt(new Date(at)).name);
    assert.deepEqual(names, ['2026-10-25', '2026-10-26', '2026-10-24', '2026-10-25']);
  });

  it('every moment is before the end of its day, and the end belongs to a later one', () => {
    for (const zone of ['UTC', 'Europe/Berlin', 'America/Santiago', 'Australia/Lord_Howe', 'Asia/Kathmandu']) {
      const dayAt = createLocalDays(zone);
      let at = new Date('2026-01-01T00:00:00Z');
      for (let steps = 0; steps < 365; steps += 1) {
        const day = dayAt(at);
        assert.ok(day.endsAt > at);
        assert.ok(dayAt(day.endsAt).name > day.name, `${zone} ${day.name}`);
        at = day.endsAt;
      }
    }
  });
});
