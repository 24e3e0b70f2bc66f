import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DriveError } from '../../lib/drive-error.ts';
import { Secret } from '../../lib/secret.ts';
import type { CloudParts } from '../cloud.ts';
import type { CallContext } from '../driver.ts';
import type { Linking, Tokens } from '../linking.ts';
import { parsed } from './client.ts';
import { classify, invalid, netdiskError, PROVIDER, TITLE } from './errors.ts';

const LOGIN = z.object({ data: z.object({ token: z.string().min(1) }) });

/** Which account this is: the server tells no id, and a user's name is one on one server. */
export const identityOf = ({ baseUrl = '', username = '' }: Readonly<Record<string, string>>): string =>
  createHash('sha256').update(`${baseUrl}\n${username}`).digest('hex');

/** By address, user and password. The password is kept, sealed, as the server gives nothing else to go on with. */
export function createLinking({ outbound }: CloudParts): Linking {
  const login = async (
    baseUrl: string,
    username: string,
    password: string,
    { signal }: CallContext,
  ): Promise<Tokens> => {
    const transport = outbound.transport({
      provider: PROVIDER,
      title: TITLE,
      accountId: `login:${PROVIDER}:${identityOf({ baseUrl, username })}`,
      classify,
      baseUrl,
    });
    const { body } = await transport.send({
      method: 'POST',
      url: '/user/login',
      body: { json: { username, password, freeLog: true } },
      endpoint: 'login',
      as: 'json',
      auth: false,
      idempotent: true,
      attempts: 2,
      signal,
    });
    // When it ends, the server says by refusing it.
    return { accessToken: new Secret(parsed(LOGIN, body).data.token), refreshToken: null, expiresAt: null };
  };

  return {
    async withCredentials({ baseUrl: address = '', username = '', password = '' }, call) {
      const baseUrl = checkedBaseUrl(address);
      const tokens = await login(baseUrl, username, password, call);
      // Address and name stand in both places: in clear for people, and sealed for the next login.
      const secrets = { baseUrl: new Secret(baseUrl), username: new Secret(username), password: new Secret(password) };
      return { credentials: { tokens, secrets }, settings: { baseUrl, username } };
    },

    async refresh({ secrets: { baseUrl, username, password } }, call) {
      if (!baseUrl || !username || !password) {
        throw netdiskError('unauthenticated', 'needs a user and a password. Link the account again.');
      }
      try {
        return await login(baseUrl.reveal(), username.reveal(), password.reveal(), call);
      } catch (error) {
        if (!(error instanceof DriveError) || error.category === 'unauthenticated') throw error;
        // A login that was lost used nothing up.
        throw new DriveError(error.category, error.message, { ...error, nothingDone: true, cause: error });
      }
    },

    refreshResendMax: 1,
  };
}

/** @throws DriveError `invalid_argument` */
function checkedBaseUrl(address: string): string {
  const url = URL.parse(address.trim());
  const isPlain = url !== null && /^https?:$/.test(url.protocol) && !url.username && !url.password;
  if (!isPlain || url.search !== '' || url.hash !== '') {
    throw invalid('must be given by an http(s) address such as https://files.example.com/Netdisk.');
  }
  return url.href.replace(/\/+$/, '');
}
