import { createHmac } from 'node:crypto';

/** What storage of Aliyun's (OSS) is asked with: short-lived, from 115. */
export interface OssCredentials {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly securityToken: string;
}

export interface OssRequest {
  readonly method: string;
  readonly bucket: string;
  /** Not percent-encoded. */
  readonly object: string;
  /** Signed ones only; null: a name without a value. */
  readonly subresources: Readonly<Record<string, string | null>>;
  /** As they are sent, lower-case names: `content-type`, `content-md5`, and what begins with `x-oss-`. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The headers of a request, signed (version 1: HMAC-SHA1), with the time and the token that belong to it.
 * Source: the reference, §6.5 and §6.6.
 */
export function signed(request: OssRequest, credentials: OssCredentials, at: Date): Record<string, string> {
  const date = at.toUTCString();
  const headers: Record<string, string> = { ...request.headers, 'x-oss-security-token': credentials.securityToken };
  const text = [
    request.method,
    headers['content-md5'] ?? '',
    headers['content-type'] ?? '',
    date,
    ...Object.keys(headers)
      .filter((name) => name.startsWith('x-oss-'))
      .sort()
      .map((name) => `${name}:${headers[name]?.trim()}`),
    `/${request.bucket}/${request.object}${subresourceText(request.subresources)}`,
  ].join('\n');
  const signature = createHmac('sha1', credentials.accessKeySecret).update(text).digest('base64');
  return { ...headers, date, authorization: `OSS ${credentials.accessKeyId}:${signature}` };
}

/** `?sequential&uploads`, sorted; in the address values are encoded, in what is signed they are not. */
export function subresourceText(
  subresources: Readonly<Record<string, string | null>>,
  encode: (value: string) => string = (value) => value,
): string {
  const parts = Object.keys(subresources)
    .sort()
    .map((name) => {
      const value = subresources[name] ?? null;
      return value === null ? name : `${name}=${encode(value)}`;
    });
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

/** The path of an object in an address. */
export const objectPath = (object: string): string =>
  `/${object
    .split('/')
    .map((part) => encodeURIComponent(part).replace(/[!'()*]/g, escaped))
    .join('/')}`;

const escaped = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
