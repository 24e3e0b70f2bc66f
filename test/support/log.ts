import { createLog, type Logger } from '../../src/lib/log.ts';

/** A line of the log, as an object. */
export type LogLine = { readonly level: number; readonly msg: string } & Readonly<Record<string, unknown>>;

export interface LogCapture {
  readonly log: Logger;
  readonly lines: readonly LogLine[];
  /** The first line that passes, of those written and those to come. */
  line(matches: (line: LogLine) => boolean): Promise<LogLine>;
  /** Forgets what was written. */
  clear(): void;
}

/** A logger for tests that wait for what the program says, or look for what it must not say. */
export function captureLog(level = 'debug'): LogCapture {
  const lines: LogLine[] = [];
  const waiting = new Set<(line: LogLine) => void>();
  const write = (text: string): void => {
    const line = JSON.parse(text) as LogLine;
    lines.push(line);
    for (const look of waiting) look(line);
  };
  return {
    log: createLog({ level, stream: { write } }),
    lines,
    line: (matches) => {
      const written = lines.find(matches);
      if (written) return Promise.resolve(written);
      return new Promise((resolve) => {
        const look = (line: LogLine): void => {
          if (!matches(line)) return;
          waiting.delete(look);
          resolve(line);
        };
        waiting.add(look);
      });
    },
    clear: () => void lines.splice(0),
  };
}
