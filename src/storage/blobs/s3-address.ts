/** A place in an S3-compatible store, as `BLOB_STORE_URL` names it. */
export interface S3Address {
  readonly bucket: string;
  /** `http` or `https` URL of the store; null: Amazon's own for the region. */
  readonly endpoint: string | null;
  readonly region: string;
  /** Whether the bucket stands in the path of an address, or before its host. */
  readonly pathStyle: boolean;
  /** What every key begins with: empty, or ending with a slash. */
  readonly prefix: string;
}

const PARAMETERS = ['endpoint', 'region', 'pathStyle', 'prefix'];
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, read 2026-11-26. */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** Characters that every store takes in keys, and no proxy changes: that page's "safe characters". */
const PREFIX = /^[A-Za-z0-9!_.*'()-]+(\/[A-Za-z0-9!_.*'()-]+)*\/?$/;
/** What S3-compatible stores take where they have no regions. */
const REGION_OF_NONE = 'us-east-1';

/**
 * Reads `s3://bucket?endpoint=…&region=…&pathStyle=…&prefix=…`.
 * @returns a sentence that follows the setting's name when the URL cannot be used; it shows nothing of it.
 */
export function parseS3Address(text: string): S3Address | { readonly fault: string } {
  if (!/^s3:\/\//.test(text) || !URL.canParse(text)) return { fault: 'must be s3://<bucket>?endpoint=…' };
  const url = new URL(text);
  if (url.username || url.password) {
    return { fault: 'must hold no keys: they belong into BLOB_STORE_ACCESS_KEY_ID and BLOB_STORE_SECRET_ACCESS_KEY' };
  }
  if (!BUCKET.test(url.host)) return { fault: 'must name a bucket: 3 to 63 of a-z, 0-9, dot and hyphen' };
  if (!['', '/'].includes(url.pathname)) return { fault: 'must have no path: for a folder in the bucket add prefix=…' };
  if (url.hash) return { fault: 'must have no fragment (#…)' };

  const query = url.searchParams;
  const strange = [...new Set(query.keys())].find((name) => !PARAMETERS.includes(name));
  if (strange !== undefined) return { fault: `must have no parameters but ${PARAMETERS.join(', ')}` };
  if (PARAMETERS.some((name) => query.getAll(name).length > 1)) return { fault: 'must have each parameter once' };

  const endpoint = query.get('endpoint');
  if (endpoint !== null && !isEndpoint(endpoint)) return { fault: 'must have an http or https URL as endpoint' };
  const pathStyle = query.get('pathStyle') ?? String(endpoint !== null);
  if (!['true', 'false'].includes(pathStyle)) return { fault: 'must have true or false as pathStyle' };
  const region = query.get('region') ?? REGION_OF_NONE;
  if (!/^[a-z0-9-]+$/i.test(region)) return { fault: 'must have a name such as eu-central-1 as region' };
  const prefix = query.get('prefix') ?? '';
  if (prefix !== '' && !PREFIX.test(prefix)) return { fault: 'must have a prefix of plain names, as in panql/blobs' };
  return {
    bucket: url.host,
    endpoint,
    region,
    pathStyle: pathStyle === 'true',
    prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`,
  };
}

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && !username && !password && !search && !hash;
}
