import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { ConfigError } from './lib/errors.ts';
import { Secret } from './lib/secret.ts';
import { parseS3Address, type S3Address } from './storage/blobs/s3-address.ts';

export const REGISTRATION_MODES = ['open', 'invite', 'closed'] as const;
export type RegistrationMode = (typeof REGISTRATION_MODES)[number];

const boolean = z.enum(['true', 'false', '1', '0']).transform((value) => value === 'true' || value === '1');
const list = z.string().transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

const timeZone = z.string().refine((zone) => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false; // RangeError is how Intl says that it does not know the zone.
  }
}, 'must be an IANA time zone such as Asia/Shanghai');

const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' });
const databaseUrl = z
  .string()
  .refine((url) => /^(sqlite:|postgres(ql)?:\/\/)/.test(url), 'must be sqlite:<path> or postgres://…');

const blobStoreUrl = z.string().transform((url, context): S3Address => {
  const address = parseS3Address(url);
  if (!('fault' in address)) return address;
  context.addIssue({ code: 'custom', message: address.fault });
  return z.NEVER;
});

/** Each setting of `.env.example`; a test holds the two against each other. */
const SETTINGS = {
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  HOST: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65535).default(4000),
  PUBLIC_URL: httpUrl.optional(),
  DATA_DIR: z.string().default('./data'),
  DATABASE_URL: databaseUrl.optional(),
  REDIS_URL: z
    .string()
    .regex(/^rediss?:\/\//, 'must be redis://… or rediss://…')
    .optional(),
  BLOB_STORE_URL: blobStoreUrl.optional(),
  BLOB_STORE_ACCESS_KEY_ID: z.string().optional(),
  BLOB_STORE_SECRET_ACCESS_KEY: z.string().optional(),
  VAULT_KEYS: z.string().optional(),
  JWT_KEYS: z.string().optional(),
  DOWNLOAD_LIMIT: z.coerce.number().int().min(0).default(10),
  DOWNLOAD_LIMIT_TIMEZONE: timeZone.default('UTC'),
  UPLOAD_CHUNK_BYTES: z.coerce
    .number()
    .int()
    .min(256 * 1024)
    .max(64 * 1024 * 1024)
    .default(16 * 1024 * 1024),
  UPLOAD_REQUEST_BYTES_MAX: z.coerce
    .number()
    .int()
    .min(256 * 1024)
    .default(4 * 1024 ** 3),
  UPLOAD_EXPIRY_HOURS: z.coerce.number().positive().default(24),
  FETCH_BYTES_MAX: z.coerce
    .number()
    .int()
    .positive()
    .default(64 * 1024 ** 3),
  // A timer of Node holds 24 days.
  FETCH_HOURS_MAX: z.coerce.number().positive().max(500).default(12),
  REGISTRATION: z.enum(REGISTRATION_MODES).default('open'),
  LIST_CACHE_SECONDS: z.coerce.number().min(0).max(60).default(10),
  SMTP_URL: z
    .string()
    .regex(/^smtps?:\/\//, 'must be smtp://… or smtps://…')
    .optional(),
  MAIL_FROM: z.string().default('PanQL <panql@localhost>'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  GRAPHIQL: boolean.default(true),
  INTROSPECTION: boolean.default(true),
  CORS_ORIGINS: list.default([]),
  TRUST_PROXY: boolean.default(false),
  OUTBOUND_ALLOW_CIDRS: list.default([]),
  IMPORT_DIRS: list.default([]),
  BAIDU_CLIENT_ID: z.string().optional(),
  BAIDU_CLIENT_SECRET: z.string().optional(),
  BAIDU_APP_ID: z.string().regex(/^\d+$/, 'must be the number of the application').optional(),
  BAIDU_APP_ROOT: z.string().regex(/^\//, 'must be an absolute path such as /apps/PanQL').default('/'),
  BAIDU_REDIRECT_URI: z.string().optional(),
  BAIDU_OPENAPI_URL: httpUrl.default('https://openapi.baidu.com'),
  BAIDU_PAN_URL: httpUrl.default('https://pan.baidu.com'),
  BAIDU_PCS_URL: httpUrl.default('https://d.pcs.baidu.com'),
  BAIDU_UNVERIFIED: boolean.default(false),
  PAN115_CLIENT_ID: z.string().optional(),
  PAN115_CLIENT_SECRET: z.string().optional(),
  PAN115_REDIRECT_URI: z.string().optional(),
  PAN115_PASSPORT_URL: httpUrl.default('https://passportapi.115.com'),
  PAN115_QRCODE_URL: httpUrl.default('https://qrcodeapi.115.com'),
  PAN115_API_URL: httpUrl.default('https://proapi.115.com'),
  PAN115_OSS_URL: httpUrl.optional(),
  PAN115_PART_BYTES: z.coerce
    .number()
    .int()
    .min(100 * 1024)
    .max(64 * 1024 * 1024)
    .default(10 * 1024 * 1024),
  PAN123_CLIENT_ID: z.string().optional(),
  PAN123_CLIENT_SECRET: z.string().optional(),
  PAN123_REDIRECT_URI: z.string().optional(),
  PAN123_API_URL: httpUrl.default('https://open-api.123pan.com'),
  PAN123_AUTH_URL: httpUrl.default('https://www.123pan.com'),
} as const;

/** Settings that may come from a file named in `<NAME>_FILE`, as container secrets do. */
const FROM_FILE = [
  'VAULT_KEYS',
  'JWT_KEYS',
  'DATABASE_URL',
  'REDIS_URL',
  'BLOB_STORE_ACCESS_KEY_ID',
  'BLOB_STORE_SECRET_ACCESS_KEY',
  'SMTP_URL',
  'BAIDU_CLIENT_SECRET',
  'PAN115_CLIENT_SECRET',
  'PAN123_CLIENT_SECRET',
] as const;

/** The names of every setting that is read, for the test of `.env.example`. */
export const SETTING_NAMES: readonly string[] = [...Object.keys(SETTINGS), ...FROM_FILE.map((name) => `${name}_FILE`)];

export interface Config {
  readonly environment: 'development' | 'production' | 'test';
  readonly host: string;
  readonly port: number;
  /** The address put into links; null: derived from where the server listens. */
  readonly publicUrl: string | null;
  /** Absolute. */
  readonly dataDir: string;
  /** `sqlite:<absolute path>` or `postgres://…`. */
  readonly databaseUrl: Secret;
  readonly redisUrl: Secret | null;
  /** Where the built-in drive keeps bytes; null: in {@link Config.dataDir}. */
  readonly blobStore: BlobStoreConfig | null;
  readonly vaultKeys: Secret | null;
  readonly jwtKeys: Secret | null;
  readonly downloadLimit: number;
  readonly downloadLimitTimeZone: string;
  readonly uploadChunkBytes: number;
  /** Most bytes of one request to an upload URL: more than a chunk, for clients that send a file at once. */
  readonly uploadRequestBytesMax: number;
  readonly uploadExpiryMs: number;
  /** Most bytes of a file that is fetched from an address, and most time for one try to get it. */
  readonly fetchBytesMax: number;
  readonly fetchMaxMs: number;
  readonly registration: RegistrationMode;
  /** How long what a provider listed is given again; 0: never. */
  readonly listCacheMs: number;
  readonly smtpUrl: Secret | null;
  readonly mailFrom: string;
  readonly logLevel: string;
  readonly graphiql: boolean;
  readonly introspection: boolean;
  readonly corsOrigins: readonly string[];
  readonly trustProxy: boolean;
  readonly outboundAllowCidrs: readonly string[];
  readonly importDirs: readonly string[];
  readonly baidu: BaiduConfig;
  readonly pan115: Pan115Config;
  readonly pan123: Pan123Config;
}

/** An S3-compatible store. */
export interface BlobStoreConfig {
  readonly address: S3Address;
  /** Null: as the AWS SDK finds them. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: Secret } | null;
}

/** The operator's application at Baidu. */
export interface BaiduConfig {
  readonly clientId: string | null;
  readonly clientSecret: Secret | null;
  readonly appId: string | null;
  readonly appRoot: string;
  readonly redirectUri: string | null;
  readonly openapiUrl: string;
  readonly panUrl: string;
  readonly pcsUrl: string;
  readonly unverified: boolean;
}

/** The operator's application at 115. */
export interface Pan115Config {
  readonly clientId: string | null;
  readonly clientSecret: Secret | null;
  readonly redirectUri: string | null;
  readonly passportUrl: string;
  readonly qrcodeUrl: string;
  readonly apiUrl: string;
  readonly ossUrl: string | null;
  readonly partBytes: number;
}

/** The operator's application at 123pan. */
export interface Pan123Config {
  readonly clientId: string | null;
  readonly clientSecret: Secret | null;
  readonly redirectUri: string | null;
  readonly apiUrl: string;
  readonly authUrl: string;
}

const secret = (value: string | undefined): Secret | null => (value === undefined ? null : new Secret(value));

function blobStoreOf({
  BLOB_STORE_URL: address,
  BLOB_STORE_ACCESS_KEY_ID: accessKeyId,
  BLOB_STORE_SECRET_ACCESS_KEY: secretAccessKey,
}: {
  readonly BLOB_STORE_URL?: S3Address | undefined;
  readonly BLOB_STORE_ACCESS_KEY_ID?: string | undefined;
  readonly BLOB_STORE_SECRET_ACCESS_KEY?: string | undefined;
}): BlobStoreConfig | null {
  if (!address) return null;
  const hasKeys = accessKeyId !== undefined && secretAccessKey !== undefined;
  return { address, credentials: hasKeys ? { accessKeyId, secretAccessKey: new Secret(secretAccessKey) } : null };
}

/**
 * Reads the environment once into a frozen object.
 * @throws ConfigError naming every fault at once.
 */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const faults: string[] = [];
  const given: Record<string, string> = {};
  for (const name of Object.keys(SETTINGS)) {
    const value = environment[name]?.trim();
    if (value) given[name] = value; // An empty variable is an unset one: `.env` files leave them so.
  }
  for (const name of FROM_FILE) {
    const file = environment[`${name}_FILE`]?.trim();
    if (!file) continue;
    if (given[name]) faults.push(`${name} and ${name}_FILE are both set: keep one`);
    try {
      given[name] = readFileSync(file, 'utf8').trim();
    } catch (error) {
      faults.push(`${name}_FILE cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown fault'}`);
    }
  }

  const parsed = z.object(SETTINGS).safeParse(given);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) faults.push(`${issue.path.join('.')} ${issue.message}`);
  }
  if (Boolean(given.BLOB_STORE_ACCESS_KEY_ID) !== Boolean(given.BLOB_STORE_SECRET_ACCESS_KEY)) {
    faults.push('BLOB_STORE_ACCESS_KEY_ID and BLOB_STORE_SECRET_ACCESS_KEY belong together: set both or none');
  }
  if (!parsed.success || faults.length > 0) {
    throw new ConfigError(
      `Settings that need mending:\n${faults.map((fault) => `  - ${fault}`).join('\n')}\nSee .env.example.`,
    );
  }

  const settings = parsed.data;
  const dataDir = resolve(settings.DATA_DIR);
  return Object.freeze({
    environment: settings.NODE_ENV,
    host: settings.HOST,
    port: settings.PORT,
    publicUrl: settings.PUBLIC_URL?.replace(/\/+$/, '') ?? null,
    dataDir,
    databaseUrl: new Secret(settings.DATABASE_URL ?? `sqlite:${resolve(dataDir, 'panql.sqlite')}`),
    redisUrl: secret(settings.REDIS_URL),
    blobStore: blobStoreOf(settings),
    vaultKeys: secret(settings.VAULT_KEYS),
    jwtKeys: secret(settings.JWT_KEYS),
    downloadLimit: settings.DOWNLOAD_LIMIT,
    downloadLimitTimeZone: settings.DOWNLOAD_LIMIT_TIMEZONE,
    uploadChunkBytes: settings.UPLOAD_CHUNK_BYTES,
    uploadRequestBytesMax: settings.UPLOAD_REQUEST_BYTES_MAX,
    uploadExpiryMs: settings.UPLOAD_EXPIRY_HOURS * 3_600_000,
    fetchBytesMax: settings.FETCH_BYTES_MAX,
    fetchMaxMs: settings.FETCH_HOURS_MAX * 3_600_000,
    registration: settings.REGISTRATION,
    listCacheMs: settings.LIST_CACHE_SECONDS * 1000,
    smtpUrl: secret(settings.SMTP_URL),
    mailFrom: settings.MAIL_FROM,
    logLevel: settings.LOG_LEVEL,
    graphiql: settings.GRAPHIQL,
    introspection: settings.INTROSPECTION,
    corsOrigins: settings.CORS_ORIGINS,
    trustProxy: settings.TRUST_PROXY,
    outboundAllowCidrs: settings.OUTBOUND_ALLOW_CIDRS,
    importDirs: settings.IMPORT_DIRS,
    baidu: {
      clientId: settings.BAIDU_CLIENT_ID ?? null,
      clientSecret: secret(settings.BAIDU_CLIENT_SECRET),
      appId: settings.BAIDU_APP_ID ?? null,
      appRoot: settings.BAIDU_APP_ROOT,
      redirectUri: settings.BAIDU_REDIRECT_URI ?? null,
      openapiUrl: settings.BAIDU_OPENAPI_URL,
      panUrl: settings.BAIDU_PAN_URL,
      pcsUrl: settings.BAIDU_PCS_URL,
      unverified: settings.BAIDU_UNVERIFIED,
    },
    pan115: {
      clientId: settings.PAN115_CLIENT_ID ?? null,
      clientSecret: secret(settings.PAN115_CLIENT_SECRET),
      redirectUri: settings.PAN115_REDIRECT_URI ?? null,
      passportUrl: settings.PAN115_PASSPORT_URL,
      qrcodeUrl: settings.PAN115_QRCODE_URL,
      apiUrl: settings.PAN115_API_URL,
      ossUrl: settings.PAN115_OSS_URL ?? null,
      partBytes: settings.PAN115_PART_BYTES,
    },
    pan123: {
      clientId: settings.PAN123_CLIENT_ID ?? null,
      clientSecret: secret(settings.PAN123_CLIENT_SECRET),
      redirectUri: settings.PAN123_REDIRECT_URI ?? null,
      apiUrl: settings.PAN123_API_URL.replace(/\/+$/, ''),
      authUrl: settings.PAN123_AUTH_URL.replace(/\/+$/, ''),
    },
  });
}
