import type { IncomingHttpHeaders } from 'node:http';
import type { Grant } from './auth.ts';
import type { User } from './world.ts';

/** The hosts of the service; each has a server of its own. */
export const ROLES = ['api', 'upload', 'upload2', 'oss', 'cdn'] as const;
export type Role = (typeof ROLES)[number];

/** A whole number is a bigint, so that no digit of an id is lost; it is written as a JSON number. */
export type Fields = Record<string, unknown>;

/** One request, read whole. */
export interface Call {
  readonly role: Role;
  readonly verb: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The JSON body; undefined when there is none, or it is not JSON. */
  readonly json: unknown;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A call of somebody, with its parameters in their kinds. */
export interface Asked extends Call {
  readonly user: User;
  readonly grant: Grant;
  readonly values: Values;
}

/** The parameters of a call, which the specification of the endpoint has checked. */
export class Values {
  readonly #given: Readonly<Record<string, unknown>>;

  constructor(given: Readonly<Record<string, unknown>>) {
    this.#given = given;
  }

  has(name: string): boolean {
    return this.#given[name] !== undefined;
  }
  id(name: string): bigint {
    return BigInt((this.#given[name] as bigint | undefined) ?? 0);
  }
  int(name: string): number {
    return Number(this.id(name));
  }
  text(name: string): string {
    return String(this.#given[name] ?? '');
  }
  flag(name: string): boolean {
    return this.#given[name] === true;
  }
  ids(name: string): bigint[] {
    return (this.#given[name] as bigint[] | undefined) ?? [];
  }
  texts(name: string): string[] {
    return (this.#given[name] as string[] | undefined) ?? [];
  }
}

/** An answer that is not the usual envelope. */
export class Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;

  constructor(status: number, headers: Readonly<Record<string, string>>, body: Buffer | string = '') {
    this.status = status;
    this.headers = headers;
    this.body = Buffer.from(body);
  }
}

/** Ends a call with a code of the service. */
export class Refusal extends Error {
  readonly code: number;
  readonly status: number;

  constructor(code: number, message: string, status = 200) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

type Result = unknown | Promise<unknown>;
interface EndpointBase {
  readonly role: Role;
  readonly verb: string;
  /** Exact, or a prefix when it ends in `*`. */
  readonly path: string;
  /**
   * `name:kind`, with `!` when required, separated by blanks; in the query of a GET, else in the JSON body. Kinds: int,
   * text, bool, ints, texts. `*` takes anything, also a body that is no object.
   */
  readonly params: string;
}
interface TokenEndpoint extends EndpointBase {
  readonly auth: 'token';
  /** Not JSON: multipart, which the handler reads itself. */
  readonly multipart?: true;
  handle(call: Asked): Result;
}
interface OpenEndpoint extends EndpointBase {
  readonly auth: 'none';
  /** Where the parameters are of a call that has no JSON body although it is a POST. */
  readonly place?: 'query';
  /** Of the servers that hold bytes: no header of the API. */
  readonly bytes?: true;
  answer(call: Call, values: Values): Result;
}
export type Endpoint = TokenEndpoint | OpenEndpoint;

const KINDS: Readonly<Record<string, (value: unknown) => unknown>> = {
  int: (value) =>
    typeof value === 'bigint'
      ? value
      : /^-?\d+$/.test(String(value)) && typeof value === 'string'
        ? BigInt(value)
        : null,
  text: (value) => (typeof value === 'string' ? value : null),
  bool: (value) =>
    typeof value === 'boolean' ? value : value === 'true' || value === 'false' ? value === 'true' : null,
  ints: (value) => (Array.isArray(value) && value.every((one) => typeof one === 'bigint') ? value : null),
  texts: (value) => (Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : null),
};
/** Kinds whose text form is taken in a body too; an id in quotes is one of `parentID` only. */
const QUOTED_IDS: ReadonlySet<string> = new Set(['parentID']);

/** The parameters by the specification, or in words what is wrong with them. Names are compared letter by letter. */
export function valuesOf(spec: string, place: 'query' | 'body', call: Call): Values | string {
  const wanted = new Map(
    spec
      .split(' ')
      .filter((word) => word !== '')
      .map((word) => {
        const [name = '', kind = 'text'] = word.replace('!', '').split(':');
        return [name, { kind, required: word.endsWith('!') }] as const;
      }),
  );
  if (wanted.has('*')) return new Values({});
  const given: Record<string, unknown> = {};
  if (place === 'query') for (const [name, value] of call.query) given[name] = value;
  else {
    if (call.json === null || typeof call.json !== 'object' || Array.isArray(call.json)) return 'the body is no object';
    Object.assign(given, call.json);
  }
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const param = wanted.get(name);
    if (!param) return `${name} in the ${place} is not a parameter of this call`;
    const quoted = place === 'body' && typeof value === 'string' && param.kind === 'int' && !QUOTED_IDS.has(name);
    const read = quoted ? null : (KINDS[param.kind]?.(value) ?? null);
    if (read === null) return `${name} in the ${place} is not of the kind ${param.kind}`;
    values[name] = read;
  }
  for (const [name, { required }] of wanted) {
    if (required && values[name] === undefined) return `${name} is missing in the ${place}`;
  }
  if (place === 'body' && [...call.query.keys()].length > 0) return 'parameters of a body stand in the query';
  return new Values(values);
}

interface ReviverContext {
  readonly source?: string;
}
const parse = JSON.parse as (
  text: string,
  reviver: (key: string, value: unknown, context: ReviverContext) => unknown,
) => unknown;
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** JSON whose whole numbers become bigint. @throws SyntaxError */
export const readJson = (text: string): unknown =>
  parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value,
  );

export const writeJson = (value: unknown): string =>
  JSON.stringify(value, (_key, one) => (typeof one === 'bigint' ? rawJSON(String(one)) : one));
