import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import type { Clock } from '../lib/clock.ts';
import { newToken } from '../lib/ids.ts';
import type { Logger } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';

export interface Mail {
  readonly to: string;
  readonly subject: string;
  /** Plain text: what matters in these mails is to be read, not clicked. */
  readonly text: string;
}

export interface MailerOptions {
  /** Null: mails are written to `DATA_DIR/outbox`. */
  readonly smtpUrl: Secret | null;
  readonly from: string;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A mail server that does not answer holds nobody up for longer. */
const SMTP_TIMEOUT_MS = 20_000;
/** Mails come from this program alone: nothing in them names a file or a URL to be fetched. */
const CLOSED_IN = { disableFileAccess: true, disableUrlAccess: true } as const;

export interface Mailer {
  /** Resolves when the mail server took the mail, or it is on disk. @throws what the mail server or the disk answered. */
  send(mail: Mail): Promise<void>;
  close(): void;
}

/** Sends mail over SMTP, or keeps it as files where no server is set. */
export const createMailer = (options: MailerOptions): Mailer =>
  options.smtpUrl ? createSmtpMailer(options.smtpUrl, options.from) : createOutbox(options);

function createSmtpMailer(url: Secret, from: string): Mailer {
  const transport = createTransport({
    ...CLOSED_IN,
    url: url.reveal(),
    pool: true,
    maxConnections: 2,
    connectionTimeout: SMTP_TIMEOUT_MS,
    greetingTimeout: SMTP_TIMEOUT_MS,
    socketTimeout: SMTP_TIMEOUT_MS,
  });
  return {
    send: async (mail) => {
      await transport.sendMail({ ...mail, from });
    },
    close: () => transport.close(),
  };
}

function createOutbox({ from, dataDir, clock, log }: MailerOptions): Mailer {
  const folder = join(dataDir, 'outbox');
  const transport = createTransport({ ...CLOSED_IN, streamTransport: true, buffer: true, newline: 'unix' });
  return {
    send: async (mail) => {
      const { message } = await transport.sendMail({ ...mail, from, date: clock.now() });
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const file = join(folder, `${clock.now().toISOString().replaceAll(':', '-')}-${newToken(6)}.eml`);
      await writeFile(`${file}.part`, message, { mode: 0o600, flag: 'wx' });
      await rename(`${file}.part`, file); // Whoever watches the folder sees whole mails only.
      log.info({ file }, 'no SMTP_URL is set: the mail is in this file');
    },
    close: () => transport.close(),
  };
}
