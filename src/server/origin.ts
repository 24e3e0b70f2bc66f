import type { Server } from 'node:http';

/** Hosts that mean every interface: nobody can call one by that name. */
export const UNSPECIFIED_HOSTS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/**
 * Where clients reach the server: PUBLIC_URL, else the address it listens on. A request's Host header is not asked: it is
 * the caller's to choose, and a link made of it could be sent to somebody else.
 */
export function createOrigin(publicUrl: string | null, host: string, server: () => Server): () => string {
  return () => {
    if (publicUrl !== null) return publicUrl;
    const address = server().address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const name = UNSPECIFIED_HOSTS.has(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host;
    return `http://${name}:${port}`;
  };
}
