import type { IncomingHttpHeaders } from 'node:http';
import { jsonInteger } from '../../../lib/json.ts';
import type { User } from './world.ts';

/** The hosts of the service; each has a server of its own. */
export const ROLES = ['passport', 'qrcode', 'api', 'cdn', 'oss'] as const;
export type Role = (typeof ROLES)[number];

/** One request, read whole. */
export interface Call {
  readonly role: Role;
  readonly verb: string;
  /** Decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Empty unless the body was a form. */
  readonly form: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The client has gone. */
  readonly gone: AbortSignal;
}

/** An answer that is not the usual JSON object. */
export class Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | AsyncIterable<Buffer>;
  /** For the record of requests. */
  readonly code: number | string;

  constructor(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string | Buffer | AsyncIterable<Buffer> = '',
    code: number | string = 0,
  ) {
    this.status = status;
    this.headers = headers;
    this.body = body;
    this.code = code;
  }
}

/** Ends a call with a number of the service's table. */
export class Refusal extends Error {
  readonly code: number;

  constructor(code: number, message = '') {
    super(message);
    this.code = code;
  }
}

/** A success: `data`, and what stands beside it. */
export interface Success {
  readonly data: unknown;
  readonly beside?: Readonly<Record<string, unknown>>;
  /** The document calls the number of some calls a string. */
  readonly textCode?: boolean;
}

interface EndpointBase {
  /** What faults and counts call it. */
  readonly name: string;
  readonly role: Role;
  readonly verbs: readonly string[];
  readonly path: string;
  /** `name`, `name:int`, `name:flag`, each with `!` when required, separated by blanks. */
  readonly query?: string;
  readonly form?: string;
}
interface TokenEndpoint extends EndpointBase {
  readonly auth: 'token';
  handle(call: Call, user: User): Success | Reply | Promise<Success | Reply>;
}
interface OpenEndpoint extends EndpointBase {
  readonly auth: 'none';
  answer(call: Call): Success | Reply | Promise<Success | Reply>;
}
export type Endpoint = TokenEndpoint | OpenEndpoint;

interface Param {
  readonly name: string;
  readonly kind: string;
  readonly required: boolean;
}

const paramsOf = (spec = ''): Param[] =>
  spec
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => {
      const [name = '', kind = 'text'] = word.replace('!', '').split(':');
      return { name, kind, required: word.endsWith('!') };
    });

const FITS: Readonly<Record<string, RegExp>> = {
  int: /^-?\d+$/,
  flag: /^[01]$/,
  ids: /^\d+(,\d+)*$/,
  sha1: /^[0-9A-F]{40}$/,
  text: /^/,
};

/** What is wrong with the parameters of a call, or null: each has its place, its spelling and its kind. */
export function parameterFault(call: Call, endpoint: Endpoint): string | null {
  const type = call.headers['content-type'] ?? '';
  if (call.verb === 'POST' && call.body.length > 0) {
    const isUrlencoded = /^application\/x-www-form-urlencoded\b/i.test(type);
    const isMultipart = /^multipart\/form-data\b/i.test(type);
    if (!isUrlencoded && !(isMultipart && call.role === 'api')) return `the body is ${type || 'of no type'}`;
  }
  const query = paramsOf(endpoint.query);
  const form = paramsOf(endpoint.form);
  return placeFault(call.query, 'query', query) ?? placeFault(call.form, 'body', form);
}

function placeFault(found: URLSearchParams, place: string, own: readonly Param[]): string | null {
  for (const key of new Set(found.keys())) {
    if (!own.some((param) => param.name === key)) return `${key} in the ${place} is not a parameter of this call`;
    if (found.getAll(key).length > 1) return `${key} stands in the ${place} twice`;
  }
  for (const { name, kind, required } of own) {
    const value = found.get(name);
    if (required && (value === null || value === '')) return `${name} is missing in the ${place}`;
    if (value === '') return `${name} in the ${place} is empty, and should be left out`;
    if (value !== null && !FITS[kind]?.test(value)) return `${name} in the ${place} is not of the kind ${kind}`;
  }
  return null;
}

/** An id as a JSON number, however large: what a plain parser rounds. */
export const number = (digits: string): unknown => jsonInteger(digits);
