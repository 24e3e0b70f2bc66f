import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** Field names whose values never reach a log line, at the top or one level down. */
const SECRET_FIELDS = [
  'password',
  'newPassword',
  'currentPassword',
  'token',
  'accessToken',
  'refreshToken',
  'authorization',
  'cookie',
  'secret',
  'clientSecret',
  'key',
  'apiKey',
];

export interface LogOptions {
  readonly level: string;
  /** Where lines go; standard output when left out. */
  readonly stream?: { write(line: string): void };
}

/** The process's logger: JSON lines, secrets redacted by field name (values of type Secret redact themselves). */
export function createLog(options: LogOptions): Logger {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '[redacted]' },
    },
    ...(options.stream ? [options.stream] : []),
  );
}
