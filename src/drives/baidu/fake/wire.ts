import type { IncomingHttpHeaders } from 'node:http';
import type { User } from './world.ts';

/** The hosts of the service; each has a server of its own. */
export const ROLES = ['openapi', 'pan', 'pcs', 'cdn'] as const;
export type Role = (typeof ROLES)[number];

/** One request, read whole. */
export interface Call {
  readonly role: Role;
  readonly verb: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Empty unless the body was a form. */
  readonly form: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export type Fields = Record<string, unknown>;

/** An answer that is not the usual JSON object. */
export class Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | AsyncIterable<Buffer>;

  constructor(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string | Buffer | AsyncIterable<Buffer> = '',
  ) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

/** Ends a call with an error number of the service; the endpoint decides on the keys around it. */
export class Refusal extends Error {
  readonly code: number;
  readonly status: number;
  readonly extra: Fields;

  constructor(code: number, message = '', more: { readonly status?: number; readonly extra?: Fields } = {}) {
    super(message);
    this.code = code;
    this.status = more.status ?? 200;
    this.extra = more.extra ?? {};
  }
}

/** An OAuth refusal: HTTP 400 or 401 with `error` and `error_description`. */
export class OAuthRefusal extends Error {
  readonly error: string;
  readonly status: number;

  constructor(error: string, description: string, status = 400) {
    super(description);
    this.error = error;
    this.status = status;
  }
}

/**
 * How an endpoint words its answers: `errno` (+ `errmsg`), `show_msg` (paid services), `error_code` (storage hosts),
 * `error_no` (semantic search), `oauth`, `plain` (neither number nor request id is added).
 */
export type Envelope = 'errno' | 'show_msg' | 'error_code' | 'error_no' | 'oauth' | 'plain';

interface EndpointBase {
  /** What faults and counts call it. */
  readonly name: string | ((call: Call) => string);
  readonly role: Role;
  readonly verbs: readonly string[];
  /** Exact, or a prefix when it ends in `*`. */
  readonly path: string;
  /** The value of `method` in the query. */
  readonly method?: string;
  readonly envelope: Envelope;
  readonly requestId: 'number' | 'text';
  /** `name`, `name:int`, `name:flag`, each with `!` when required, separated by blanks. `*` takes anything. */
  readonly query: string;
  readonly form?: string;
  /** Other than a form: multipart, raw bytes or JSON, which the handler reads itself. */
  readonly rawBody?: boolean;
}

interface TokenEndpoint extends EndpointBase {
  readonly auth: 'token';
  handle(call: Call, user: User): Result;
}
interface OpenEndpoint extends EndpointBase {
  readonly auth: 'none';
  answer(call: Call): Result;
}
type Result = Fields | Reply | Promise<Fields | Reply>;
export type Endpoint = TokenEndpoint | OpenEndpoint;

interface Param {
  readonly name: string;
  readonly kind: string;
  readonly required: boolean;
}

const paramsOf = (spec: string): Param[] =>
  spec
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => {
      const [name = '', kind = 'text'] = word.replace('!', '').split(':');
      return { name, kind, required: word.endsWith('!') };
    });

const FITS: Readonly<Record<string, RegExp>> = { int: /^\d+$/, flag: /^[01]$/, text: /^/ };

/**
 * What is wrong with the parameters of a call, or null. The service takes a body field only in the body and a query
 * parameter only in the query.
 */
export function parameterFault(call: Call, endpoint: Endpoint): string | null {
  const query = paramsOf(`access_token ${endpoint.method === undefined ? '' : 'method'} ${endpoint.query}`);
  const form = paramsOf(endpoint.form ?? '');
  const isForm = endpoint.form !== undefined && !endpoint.rawBody && call.body.length > 0;
  if (isForm && !/^application\/x-www-form-urlencoded\b/i.test(call.headers['content-type'] ?? '')) {
    return 'the body is not application/x-www-form-urlencoded';
  }
  return (
    placeFault({ found: call.query, place: 'query', own: query, other: form, elsewhere: 'the body' }) ??
    placeFault({ found: call.form, place: 'body', own: form, other: query, elsewhere: 'the query' })
  );
}

interface Place {
  readonly found: URLSearchParams;
  readonly place: string;
  readonly own: readonly Param[];
  readonly other: readonly Param[];
  readonly elsewhere: string;
}

function placeFault({ found, place, own, other, elsewhere }: Place): string | null {
  for (const key of new Set(found.keys())) {
    if (own.some((param) => param.name === '*')) break;
    if (own.some((param) => param.name === key)) {
      if (found.getAll(key).length > 1) return `${key} stands in the ${place} twice`;
      continue;
    }
    if (other.some((param) => param.name === key)) return `${key} stands in the ${place} and belongs in ${elsewhere}`;
    return `${key} in the ${place} is not a parameter of this call`;
  }
  for (const { name, kind, required } of own) {
    const value = found.get(name);
    if (required && (value === null || value === '')) return `${name} is missing in the ${place}`;
    if (value !== null && !FITS[kind]?.test(value)) return `${name} in the ${place} is not of the kind ${kind}`;
  }
  return null;
}
