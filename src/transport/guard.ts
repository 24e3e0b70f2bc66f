import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { getCACertificates } from 'node:tls';
import ipaddr from 'ipaddr.js';
import { buildConnector } from 'undici';

/** An address that this server does not contact; the message names it. */
export class BlockedAddressError extends Error {
  override readonly name = 'BlockedAddressError';
}

export interface GuardOptions {
  /** Private ranges that may be reached all the same: OUTBOUND_ALLOW_CIDRS. */
  readonly allowCidrs?: readonly string[];
  /** Certificate authorities trusted beside Node's own (which NODE_EXTRA_CA_CERTS extends), PEM. */
  readonly extraCa?: readonly string[];
  /** The resolver; for tests. */
  readonly lookup?: typeof systemLookup;
}

/** Keeps requests away from addresses that are not public: loopback, private networks, cloud metadata and the like. */
export interface AddressGuard {
  /**
   * Why `url` cannot be fetched, in words for a person; null when it may be tried. A name is judged only when it is
   * connected to, by what it resolves to then: a name that changes its address between check and use gains nothing.
   */
  urlFault(url: string): string | null;
  /**
   * Makes the connections of an undici Agent and refuses those to addresses that are not public, but for the origins the
   * operator configured. Certificates are always verified.
   */
  connector(trustedOrigins: readonly string[]): buildConnector.connector;
}

/** @throws TypeError naming the first of `allowCidrs` that is not a range. */
export function createGuard(options: GuardOptions = {}): AddressGuard {
  const isAllowed = addressPolicy(options.allowCidrs ?? []);
  const lookup = guardedLookup(isAllowed, options.lookup ?? systemLookup);
  const connectOptions: buildConnector.BuildOptions = {
    timeout: CONNECT_TIMEOUT_MS,
    // HTTP/1.1 only: a body cut short is told from a whole one the same way everywhere, and a slow stream of one account
    // does not hold up the others of its connection.
    allowH2: false,
    // Said aloud, because the environment (NODE_TLS_REJECT_UNAUTHORIZED) would otherwise be able to turn it off.
    rejectUnauthorized: true,
    ...(options.extraCa ? { ca: [...getCACertificates('default'), ...options.extraCa] } : {}),
  };
  const trusting = buildConnector(connectOptions);
  const guarded = buildConnector({ ...connectOptions, lookup });

  return {
    urlFault: (url) => urlFault(url, isAllowed),
    connector: (trustedOrigins) => (target, callback) => {
      if (trustedOrigins.includes(new URL(`${target.protocol}//${target.host ?? target.hostname}`).origin)) {
        trusting(target, callback);
      } else if (isIP(target.hostname) !== 0 && !isAllowed(target.hostname)) {
        // Node asks no resolver about a literal address, so the guarded lookup would not see it.
        callback(new BlockedAddressError(`${target.hostname} is not a public address.`), null);
      } else {
        guarded(target, callback);
      }
    },
  };
}

/** As undici's own default: TCP, and TLS where it is asked for. */
const CONNECT_TIMEOUT_MS = 10_000;

type AddressPolicy = (address: string) => boolean;

function addressPolicy(allowCidrs: readonly string[]): AddressPolicy {
  const exceptions = allowCidrs.map(parseCidr);
  return (address) => {
    const parsed = ipaddr.process(address); // An IPv4 address in IPv6 clothes (::ffff:a.b.c.d) is judged as what it is.
    const excepted = exceptions.some(
      ([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits),
    );
    return excepted || isPublic(parsed);
  };
}

type Address = ReturnType<typeof ipaddr.parse>;

function parseCidr(cidr: string): [Address, number] {
  if (!ipaddr.isValidCIDR(cidr))
    throw new TypeError(`OUTBOUND_ALLOW_CIDRS has ${cidr}, which is not a range like 10.0.0.0/8.`);
  return ipaddr.parseCIDR(cidr);
}

/** Where public IPv6 addresses are (RFC 4291); whatever lies outside has a special meaning or none. */
const GLOBAL_IPV6 = ipaddr.parseCIDR('2000::/3');
/** Public by its number, but inside Azure it is the host's own service (learn.microsoft.com, "What is IP address 168.63.129.16?"). */
const AZURE_HOST = '168.63.129.16';

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast' || address.toString() === AZURE_HOST) return false;
  return address.kind() === 'ipv4' || address.match(...GLOBAL_IPV6);
}

function urlFault(url: string, isAllowed: AddressPolicy): string | null {
  const parsed = URL.parse(url);
  if (!parsed) return 'must be a URL';
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return 'must begin with http:// or https://';
  if (parsed.username !== '' || parsed.password !== '') return 'must not contain a user name or password';
  // The parser has turned every notation of an IPv4 address (0x7f.1, 2130706433, 0177.0.0.1) into the dotted one.
  const host = parsed.hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(host) !== 0 ? [host] : LOCALHOST.test(host) ? ['127.0.0.1', '::1'] : [];
  if (addresses.length > 0 && !addresses.some(isAllowed)) return 'must not point to a private or special address';
  return null;
}

/** Always this machine (RFC 6761 §6.3), whatever a resolver says. */
const LOCALHOST = /^(?:.+\.)?localhost\.?$/;

/** Gives only the addresses that are allowed, so that what was checked is what is connected to. */
function guardedLookup(isAllowed: AddressPolicy, lookup: typeof systemLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error) return callback(error, []);
      const allowed = addresses.filter(({ address }) => isAllowed(address));
      const [first] = allowed;
      if (!first) return callback(new BlockedAddressError(`${hostname} has no public address.`), []);
      if (options.all) return callback(null, allowed);
      callback(null, first.address, first.family);
    });
  };
}
