import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import { Secret } from '../../lib/secret.ts';
import type { QueryValues } from '../../transport/request.ts';
import type { Pan123Services } from '../cloud.ts';
import type { CallContext } from '../driver.ts';
import type { Linking, Tokens } from '../linking.ts';
import { classify, PROVIDER, pan123Error, TITLE } from './errors.ts';
import { originsOf, PLATFORM } from './hosts.ts';
import { FREE_RATES } from './rates.ts';

const SCOPE = 'user:base,file:all:read,file:all:write';
const DAY_MS = 86_400_000;
/** Of a token whose end cannot be read: the documents promise 30 days. */
const TOKEN_MS = 30 * DAY_MS;

const LOGIN = z.object({
  data: z.object({ accessToken: z.string().min(1), expiredAt: z.string().catch('') }),
});
const GRANT = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).nullish(),
  expires_in: z.coerce.number().positive().nullish().catch(null),
});

/**
 * Sign-in by a developer's own pair, which any account can have, or by the operator's application where there is one.
 * Every login is a device more at 123pan: it is done when a token is needed, and never tried twice by itself.
 */
export function createLinking(services: Pan123Services): Linking {
  const { clientId, clientSecret, redirectUri, apiUrl, authUrl } = services.pan123;
  const transport = services.outbound.transport({
    provider: PROVIDER,
    title: TITLE,
    accountId: `app:${PROVIDER}`,
    classify,
    baseUrl: apiUrl,
    headers: PLATFORM,
    rates: FREE_RATES,
    trustedOrigins: originsOf(services.pan123),
  });
  const standing = { method: 'POST', as: 'json', auth: false, idempotent: false, attempts: 1 } as const;

  const login = async (id: string, secret: string, { signal }: CallContext): Promise<Tokens> => {
    const { body } = await transport.send({
      ...standing,
      url: '/api/v1/access_token',
      endpoint: 'api/v1/access_token',
      body: { json: { clientID: id, clientSecret: secret } },
      signal,
    });
    const { accessToken, expiredAt } = parsed(LOGIN, body).data;
    const told = new Date(expiredAt);
    const expiresAt = Number.isNaN(told.getTime()) ? addMs(services.clock.now(), TOKEN_MS) : told;
    return { accessToken: new Secret(accessToken), refreshToken: null, expiresAt };
  };

  /** Its parameters stand in the query of a POST, and its answer has no envelope. */
  const grant = async (query: QueryValues, { signal }: CallContext): Promise<Tokens> => {
    if (clientId === null || clientSecret === null) {
      throw pan123Error('unauthenticated', 'needs the application of this server, which is not set any more.', null, {
        hint: 'The operator sets PAN123_CLIENT_ID and PAN123_CLIENT_SECRET; or link the account by a client id of its own.',
      });
    }
    const { body } = await transport.send({
      ...standing,
      url: '/api/v1/oauth2/access_token',
      endpoint: 'api/v1/oauth2/access_token',
      query: { client_id: clientId, client_secret: clientSecret.reveal(), ...query },
      signal,
    });
    const { access_token, refresh_token, expires_in } = parsed(GRANT, body);
    return {
      accessToken: new Secret(access_token),
      refreshToken: refresh_token == null ? null : new Secret(refresh_token),
      expiresAt: expires_in == null ? null : addMs(services.clock.now(), expires_in * 1000),
    };
  };

  return {
    ...(clientId !== null && clientSecret !== null
      ? {
          authorizationUrl: (request) =>
            `${authUrl}/auth?${new URLSearchParams({
              client_id: clientId,
              redirect_uri: redirectUri ?? request.redirectUri,
              scope: SCOPE,
              state: request.state,
            })}`,
          exchangeCode: (exchange, call) =>
            grant(
              {
                grant_type: 'authorization_code',
                code: exchange.code,
                redirect_uri: redirectUri ?? exchange.redirectUri,
              },
              call,
            ),
        }
      : {}),

    async withCredentials({ clientId: id = '', clientSecret: secret = '' }, call) {
      const tokens = await login(id, secret.trim(), call);
      // The id stands in both places: in clear for people, and with the secret for the next login.
      const secrets = { clientId: new Secret(id), clientSecret: new Secret(secret.trim()) };
      return { credentials: { tokens, secrets }, settings: { clientId: id } };
    },

    async refresh({ tokens, secrets }, call) {
      const { clientId: id, clientSecret: secret } = secrets;
      if (id && secret) return harmless(login(id.reveal(), secret.reveal(), call));
      const refreshToken = tokens?.refreshToken;
      if (!refreshToken) {
        throw pan123Error('unauthenticated', 'gave no refresh token. Link the account again.', null, {});
      }
      return grant({ grant_type: 'refresh_token', refresh_token: refreshToken.reveal() }, call);
    },

    // A refresh token that was used up is refused, and nothing worse: then one sending was lost, and the next may help.
    refreshResendMax: 1,
  };
}

/** A login whose answer was lost costs nothing that counts: it may be asked for again at another time. */
async function harmless(login: Promise<Tokens>): Promise<Tokens> {
  try {
    return await login;
  } catch (error) {
    if (!(error instanceof DriveError) || error.category === 'unauthenticated') throw error;
    throw new DriveError(error.category, error.message, { ...error, nothingDone: true, cause: error });
  }
}

/** What was expected; an answer without it is as good as none. */
export function parsed<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const { data, success, error } = schema.safeParse(body);
  if (success) return data;
  throw pan123Error('unavailable', 'gave an answer that lacks what was asked for.', null, { cause: error });
}
