import { join } from 'node:path';
import { type App, createApp } from './app.ts';
import { type Config, loadConfig } from './config.ts';
import { ConfigError } from './lib/errors.ts';
import { checkWritable, makeFolder } from './lib/folders.ts';
import { createLog, type Logger } from './lib/log.ts';
import { GRAPHQL_PATH } from './server/graphql.ts';
import { UNSPECIFIED_HOSTS } from './server/origin.ts';
import { User } from './storage/entities/identity.ts';

/** How long a server in production goes on after SIGTERM, so that its load balancer notices, in milliseconds. */
const NOTICE_MS = 3_000;
/** How long what runs may take to end, in milliseconds: below the 30 s that container systems wait before they kill. */
const FINISH_MS = 15_000;
/** And to close the database and the rest, before the process is left as it is. */
const CLOSE_MS = 5_000;

/** Runs the server until a signal ends it. A start that cannot succeed says why on standard error, and exits with 1. */
export async function start(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  try {
    const config = loadConfig(environment);
    const log = createLog({ level: config.logLevel });
    process.on('uncaughtException', (error) => {
      log.fatal({ err: error }, 'uncaught error: the process ends');
      process.exit(1);
    });
    prepareDataDir(config.dataDir);
    const app = await createApp(config, log);
    await listen(app);
    endOnSignal(app, log);
    log.info({ port: config.port, host: config.host }, 'listening');
    if (linksAreLocal(config)) log.warn('PUBLIC_URL is not set: links are of use on this machine alone');
    process.stderr.write(await welcome(app));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

function prepareDataDir(dataDir: string): void {
  try {
    makeFolder(dataDir);
    checkWritable(dataDir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError(
      `The data folder ${dataDir} cannot be written (${code}). Give this user the right to it, or set DATA_DIR to another.`,
    );
  }
}

async function listen({ config, server, close }: App): Promise<void> {
  const { host, port } = config;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    await close().catch(() => {}); // What is wrong is told below; the process ends anyway.
    throw new ConfigError(listenFault(error as NodeJS.ErrnoException, host, port));
  }
}

function listenFault({ code }: NodeJS.ErrnoException, host: string, port: number): string {
  if (code === 'EADDRINUSE') {
    return `Port ${port} on ${host} is taken, perhaps by another PanQL. Stop what uses it, or set PORT to another.`;
  }
  if (code === 'EACCES') return `This user may not listen on port ${port}. Set PORT to one above 1023.`;
  if (code === 'EADDRNOTAVAIL') {
    return `This machine has no address ${host}. Set HOST to one of its own, or to 0.0.0.0 for all of them.`;
  }
  return `It is not possible to listen on ${host}, port ${port} (${code}). Set HOST and PORT.`;
}

/** The first signal lets what runs end; a second one ends everything at once. */
function endOnSignal(app: App, log: Logger): void {
  const noticeMs = app.config.environment === 'production' ? NOTICE_MS : 0;
  let ending = false;
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (ending) {
      log.warn({ signal }, 'ended at once, by a second signal');
      process.exit(1);
    }
    ending = true;
    log.info({ signal }, 'ending: what runs may finish');
    setTimeout(
      () => {
        log.error('ended at once: closing took too long');
        process.exit(1);
      },
      noticeMs + FINISH_MS + CLOSE_MS,
    ).unref();
    try {
      await app.drain({ noticeMs, finishMs: FINISH_MS });
      await app.close();
      log.info('ended');
      process.exit(0);
    } catch (error) {
      log.error({ err: error }, 'not everything could be closed');
      process.exit(1);
    }
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
}

/** What a person wants to know after the start. On standard error: standard output is the log, for machines. */
async function welcome({ config, storage, services }: App): Promise<string> {
  const api = services.links.absolute(GRAPHQL_PATH);
  const lines = [
    ['API', api],
    ...(config.graphiql ? [['GraphiQL', `${api} (open it in a browser)`]] : []),
    ...(linksAreLocal(config) ? [['Links', `${services.links.absolute('')} ${LINKS_ADVICE}`]] : []),
    ['Data', dataOf(config, storage)],
    ['Mail', config.smtpUrl ? 'by SMTP_URL' : `not sent: written to ${join(config.dataDir, 'outbox')}`],
  ];
  return `\nPanQL is ready.\n\n${lines.map(([name, value]) => `  ${name?.padEnd(10)}${value}\n`).join('')}${await firstSteps(config, storage)}\n`;
}

/** What is kept where. */
const dataOf = ({ dataDir, blobStore }: Config, { dialect }: App['storage']): string =>
  [
    dataDir,
    ...(dialect === 'postgres' ? ['with the database of DATABASE_URL'] : []),
    ...(blobStore ? [`with files in the bucket ${blobStore.address.bucket}`] : []),
  ].join(', ');

/** The address of links is guessed, and nobody but this machine can use it: the server listens to others, too. */
const linksAreLocal = ({ publicUrl, host }: Config): boolean => publicUrl === null && UNSPECIFIED_HOSTS.has(host);

const LINKS_ADVICE =
  '(of uploads, downloads and direct links: of use on this machine alone. Set PUBLIC_URL to the address that clients use)';

async function firstSteps(config: Config, storage: App['storage']): Promise<string> {
  if ((await storage.fork().count(User)) > 0) return '';
  const how = config.graphiql ? 'The first tab of GraphiQL does it.' : 'Use the mutation `register`.';
  return `\n  Nobody is registered yet. The first user becomes the administrator. ${how}\n`;
}
