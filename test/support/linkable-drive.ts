import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import type { CloudServices } from '../../src/drives/cloud.ts';
import type { DriveDefinition, DriveEntry, Driver, LinkMethod, ProviderId } from '../../src/drives/driver.ts';
import { DriveError, type DriveErrorCategory, type DriveErrorInit } from '../../src/drives/errors.ts';
import type { DevicePoll, Linking, Tokens } from '../../src/drives/linking.ts';
import type { DriveServices } from '../../src/drives/registry.ts';
import { addMs } from '../../src/lib/clock.ts';
import { Secret } from '../../src/lib/secret.ts';
import { statusError } from '../../src/transport/classify.ts';

/** Somebody with an account at the cloud of a test. */
export interface CloudPerson {
  /** Null: the cloud does not tell who it is. */
  readonly id: string | null;
  readonly name: string;
}

/** A device code that waits for its person. */
export interface DeviceFlow {
  readonly code: string;
  /** What the next polls say; an error is thrown. */
  answer:
    | Exclude<DevicePoll, { outcome: 'APPROVED' }>
    | { readonly outcome: 'APPROVED'; readonly person: CloudPerson }
    | Error;
  polls: number;
}

interface Grant {
  readonly person: CloudPerson;
  accessToken: string;
  refreshToken: string;
  state: 'live' | 'expired' | 'ended';
}

export interface LinkableCloudOptions {
  /** Default BAIDU. */
  readonly id?: ProviderId;
  readonly linkMethods?: readonly LinkMethod[];
}

export type LinkableCloud = Awaited<ReturnType<typeof startLinkableCloud>>;

export const DEVICE_LIFE_MS = 60_000;
export const POLL_INTERVAL_MS = 5_000;
/** The password that `withCredentials` takes, with a space at its end. */
export const PASSWORD = 'password-canary of a person ';

/**
 * A cloud whose accounts can be linked in every way. Its people confirm and refuse as the test says; its files are
 * listed, and its tokens renewed, over HTTP through the real transport.
 */
export async function startLinkableCloud({
  id = 'BAIDU',
  linkMethods = ['DEVICE_CODE', 'AUTHORIZATION_CODE', 'PASSWORD', 'TOKENS'],
}: LinkableCloudOptions = {}) {
  const grants: Grant[] = [];
  const codes = new Map<string, { readonly person: CloudPerson; readonly challenge: string | null }>();
  const devices: DeviceFlow[] = [];
  const revoked: string[] = [];
  const counts = { lists: 0, refreshes: 0, profiles: 0 };
  const behaviour = {
    down: false,
    /** What answers to a refresh wait for. */
    gate: Promise.resolve() as Promise<unknown>,
    /** What the look at whose account it is fails with. */
    profileFault: null as Error | null,
  };

  const fault = (category: DriveErrorCategory, message: string, init: Partial<DriveErrorInit> = {}) =>
    new DriveError(category, message, { provider: id, ...init });
  const checkUp = (): void => {
    if (behaviour.down)
      throw fault('unavailable', 'The cloud is out of order.', { retryable: false, persistent: true });
  };
  const newSecret = (kind: string): string => `${kind}-canary-${randomBytes(12).toString('hex')}`;
  const grantTo = (person: CloudPerson): Grant => {
    const grant: Grant = {
      person,
      accessToken: newSecret('access'),
      refreshToken: newSecret('refresh'),
      state: 'live',
    };
    grants.push(grant);
    return grant;
  };
  const tokensOf = ({ accessToken, refreshToken }: Grant): Tokens => ({
    accessToken: new Secret(accessToken),
    refreshToken: new Secret(refreshToken),
    expiresAt: null,
  });

  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0];
    const bearer = request.headers.authorization?.replace(/^Bearer /, '');
    const answer = (status: number, body: object = {}): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (behaviour.down) return answer(503);
    if (path === '/refresh') {
      counts.refreshes += 1;
      const token = new URL(request.url ?? '/', url).searchParams.get('refresh_token');
      await behaviour.gate;
      const grant = grants.find(({ refreshToken, state }) => refreshToken === token && state !== 'ended');
      if (!grant) return answer(401);
      grant.state = 'ended';
      const { accessToken, refreshToken } = grantTo(grant.person);
      return answer(200, { accessToken, refreshToken });
    }
    const grant = grants.find(({ accessToken, state }) => accessToken === bearer && state === 'live');
    if (!grant) return answer(401, { said: bearer });
    if (path === '/profile') {
      counts.profiles += 1;
      return answer(200, grant.person);
    }
    counts.lists += 1;
    return answer(200, ['one', 'two']);
  }

  const transportOf = ({ outbound, tokensOf: storeOf }: CloudServices, accountId: string) =>
    outbound.transport({
      provider: id,
      title: 'The cloud of a test',
      accountId,
      classify: ({ status, headers }) =>
        statusError({ provider: id, title: 'The cloud of a test' }, { status, headers }, new Date()),
      baseUrl: url,
      trustedOrigins: [url],
      credentials: {
        tokens: storeOf({ id: accountId, provider: id }),
        authorize: (request, token) => ({
          ...request,
          headers: { ...request.headers, authorization: `Bearer ${token}` },
        }),
      },
    });
  const get = { method: 'GET', idempotent: true, as: 'json', auth: true, attempts: 1 } as const;

  const linkingOf = (services: CloudServices): Linking => ({
    async startDevice() {
      checkUp();
      const flow: DeviceFlow = { code: newSecret('device-code'), answer: { outcome: 'PENDING' }, polls: 0 };
      devices.push(flow);
      return {
        userCode: `CODE-${devices.length}`,
        verificationUrl: 'https://cloud.example/device',
        qrContent: `https://cloud.example/device?code=${devices.length}`,
        expiresAt: addMs(services.clock.now(), DEVICE_LIFE_MS),
        intervalMs: POLL_INTERVAL_MS,
        state: { code: flow.code },
      };
    },
    async pollDevice(state) {
      checkUp();
      const flow = devices.find(({ code }) => code === (state as { code: string }).code);
      if (!flow) return { outcome: 'EXPIRED' };
      flow.polls += 1;
      const { answer } = flow;
      if (answer instanceof Error) throw answer;
      if (answer.outcome !== 'APPROVED') return answer;
      flow.answer = { outcome: 'EXPIRED' }; // Tokens are given once.
      return { outcome: 'APPROVED', tokens: tokensOf(grantTo(answer.person)) };
    },
    authorizationUrl: (request) => `https://cloud.example/authorize?${new URLSearchParams({ ...request })}`,
    async exchangeCode({ code, codeVerifier }) {
      checkUp();
      const issued = codes.get(code);
      codes.delete(code);
      const challenge = createHash('sha256').update(codeVerifier).digest('base64url');
      if (!issued || (issued.challenge !== null && issued.challenge !== challenge)) {
        throw fault('unauthenticated', 'The cloud does not know this code.');
      }
      return tokensOf(grantTo(issued.person));
    },
    async withCredentials({ address = '', username = '', password = '' }) {
      checkUp();
      if (password !== PASSWORD) throw fault('unauthenticated', 'The cloud does not know this user and password.');
      const tokens = tokensOf(grantTo({ id: username, name: username }));
      return { credentials: { tokens, secrets: { password: new Secret(password) } }, settings: { address, username } };
    },
    async refresh({ tokens }, { signal }) {
      const { body } = await transportOf(services, `app:${id}`).send({
        ...get,
        url: '/refresh',
        query: { refresh_token: tokens?.refreshToken?.reveal() },
        endpoint: 'refresh',
        auth: false,
        signal,
      });
      const { accessToken, refreshToken } = body as { accessToken: string; refreshToken: string };
      return { accessToken: new Secret(accessToken), refreshToken: new Secret(refreshToken), expiresAt: null };
    },
    async revoke({ tokens }) {
      checkUp();
      revoked.push(tokens?.accessToken.reveal() ?? '');
      return true;
    },
    refreshResendMax: 1,
  });

  const driverOf = (accountId: string, services: CloudServices): Driver => {
    const transport = transportOf(services, accountId);
    return {
      capabilities: {
        nameBytesMax: 255,
        caseSensitive: true,
        fileBytesMax: null,
        listPageMax: 100,
        hashes: [],
        sorts: [],
      },
      rootRef: '/',
      async list(_folderRef, _options, _page, { signal }) {
        const { body } = await transport.send({ ...get, url: '/list', endpoint: 'list', signal });
        return { items: (body as string[]).map((name) => entryOf(name)), nextCursor: null, totalCount: null };
      },
      async stat(ref, { signal }) {
        await transport.send({ ...get, url: '/list', endpoint: 'list', signal });
        return entryOf(ref);
      },
      read: async () => Readable.from([]),
      async profile({ signal }) {
        if (behaviour.profileFault) throw behaviour.profileFault;
        const { body } = await transport.send({ ...get, url: '/profile', endpoint: 'profile', signal });
        const person = body as CloudPerson;
        const untold = { membership: null, avatarUrl: null, membershipExpiresAt: null };
        return { providerUserId: person.id, name: person.name, ...untold };
      },
    };
  };

  const definition: DriveDefinition<DriveServices & CloudServices> = {
    id,
    title: 'The cloud of a test',
    linkMethods,
    settings: [
      { name: 'address', title: 'Address', help: 'Of the server.', secret: false, required: false },
      { name: 'username', title: 'User', help: 'Your name there.', secret: false, required: true },
      { name: 'password', title: 'Password', help: 'Your password there.', secret: true, required: true },
    ],
    errorCodes: [],
    create: (account, services) => driverOf(account.id, services),
    linking: linkingOf,
  };

  return {
    definition,
    devices,
    /** The access tokens that were given back. */
    revoked,
    counts,
    behaviour,
    grants,
    /** What the cloud gave so far: nothing of it may be seen anywhere. */
    secrets: (): string[] => [
      ...grants.flatMap(({ accessToken, refreshToken }) => [accessToken, refreshToken]),
      ...devices.map(({ code }) => code),
    ],
    fault,
    grantTo,
    /** As the sign-in page does; the challenge is checked where it is given. */
    issueCode: (person: CloudPerson, challenge: string | null = null): string => {
      const code = newSecret('code');
      codes.set(code, { person, challenge });
      return code;
    },
    /** The access tokens run out; `forGood`: the refresh tokens too. */
    expireTokens: (forGood = false): void => {
      for (const grant of grants) if (grant.state === 'live') grant.state = forGood ? 'ended' : 'expired';
    },
    close: async (): Promise<void> => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const entryOf = (name: string): DriveEntry => ({
  ref: name,
  kind: name === '/' ? 'FOLDER' : 'FILE',
  name: name === '/' ? '' : name,
  parentRef: name === '/' ? null : '/',
  path: name === '/' ? '/' : `/${name}`,
  sizeBytes: name === '/' ? null : 1,
  createdAt: null,
  modifiedAt: null,
  revision: null,
  mimeType: null,
  category: null,
  hashes: {},
  deletedAt: null,
});
