import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Services } from '../services/services.ts';
import type { ClientFacts } from './graphql.ts';

export interface FactsOptions {
  readonly identity: Pick<Services['identity'], 'authenticate'>;
  /** Whether one proxy stands before the server and says whom it speaks for. */
  readonly trustProxy: boolean;
}

/** Reads who sent a request: the bearer of its token, its address and its program. */
export const createFactsReader =
  ({ identity, trustProxy }: FactsOptions) =>
  async (request: IncomingMessage): Promise<ClientFacts> => {
    const token = bearerToken(request);
    const viewer = token === null ? null : await identity.authenticate(token);
    return {
      viewer,
      tokenRejected: token !== null && viewer === null,
      clientAddress: clientAddress(request, trustProxy),
      userAgent: request.headers['user-agent'] ?? null,
    };
  };

const BEARER = /^Bearer +([^\s]+) *$/i;

/** The token of the Authorization header; null without one. Other schemes are none. */
export function bearerToken(request: IncomingMessage): string | null {
  return BEARER.exec(request.headers.authorization ?? '')?.[1] ?? null;
}

/**
 * The address of the client. With a trusted proxy it is the last one of X-Forwarded-For, which that proxy wrote; those
 * before it are whatever the client sent. IPv4 in IPv6 form is IPv4.
 */
export function clientAddress(request: IncomingMessage, trustProxy: boolean): string {
  const header = trustProxy ? request.headers['x-forwarded-for'] : undefined;
  const told = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',').at(-1)?.trim() ?? '';
  const address = isIP(told) ? told : (request.socket.remoteAddress ?? '');
  if (isIP(address) === 4) return address;
  return isIP(address) ? ipaddr.process(address).toString() : 'unknown';
}
