/** Where the program reads the time, so that a test can set it. */
export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };

export const addMs = (date: Date, milliseconds: number): Date => new Date(date.getTime() + milliseconds);
