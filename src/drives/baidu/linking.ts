import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import { Secret } from '../../lib/secret.ts';
import type { QueryValues } from '../../transport/request.ts';
import type { CloudServices } from '../cloud.ts';
import type { CallContext } from '../driver.ts';
import type { DevicePoll, Linking, Tokens } from '../linking.ts';
import { baiduError, classify, PROVIDER, TITLE } from './errors.ts';
import { originsOf, USER_AGENT } from './hosts.ts';

const SCOPE = 'basic,netdisk';
/** Added to the interval that Baidu names, in milliseconds: it must be exceeded, not met. */
const INTERVAL_MARGIN_MS = 700;
/** What `slow_down` adds for the rest of the flow (RFC 8628 §3.5), in milliseconds. */
const SLOW_DOWN_MS = 5_000;

const TOKENS = z.object({
  access_token: z.string().min(1),
  expires_in: z.coerce.number().positive(),
  refresh_token: z.string().min(1).optional(),
});
const DEVICE = z.object({
  device_code: z.string().min(1),
  user_code: z.string().min(1),
  verification_url: z.string(),
  expires_in: z.coerce.number().positive(),
  interval: z.coerce.number().positive().catch(5),
});
const DEVICE_STATE = z.object({ deviceCode: z.string(), intervalMs: z.number() });

/** Sign-in at `openapi.baidu.com`. Null while the operator has not set an application. */
export function createLinking(services: CloudServices): Linking | null {
  const { clientId, clientSecret, redirectUri, openapiUrl } = services.baidu;
  if (clientId === null || clientSecret === null) return null;
  const application = { client_id: clientId, client_secret: clientSecret.reveal() };
  const transport = services.outbound.transport({
    provider: PROVIDER,
    title: TITLE,
    accountId: `app:${PROVIDER}`,
    classify,
    baseUrl: openapiUrl,
    headers: { 'user-agent': USER_AGENT },
    trustedOrigins: originsOf(services.baidu),
  });

  const ask = async (endpoint: string, path: string, query: QueryValues, { signal }: CallContext, attempts: number) => {
    const { body } = await transport.send({
      method: 'GET',
      url: path,
      query,
      idempotent: attempts > 1,
      endpoint,
      as: 'json',
      auth: false,
      signal,
      attempts,
    });
    return body;
  };
  const tokensFrom = (body: unknown): Tokens => {
    const { access_token, expires_in, refresh_token } = parsed(TOKENS, body);
    return {
      accessToken: new Secret(access_token),
      refreshToken: refresh_token === undefined ? null : new Secret(refresh_token),
      expiresAt: addMs(services.clock.now(), expires_in * 1000),
    };
  };
  /** Codes and refresh tokens work once: no try follows the first by itself. */
  const grant = async (endpoint: string, query: QueryValues, call: CallContext): Promise<Tokens> =>
    tokensFrom(await ask(endpoint, '/oauth/2.0/token', { ...query, ...application }, call, 1));

  return {
    async startDevice(call) {
      const query = { response_type: 'device_code', client_id: clientId, scope: SCOPE };
      const device = parsed(DEVICE, await ask('oauth.device', '/oauth/2.0/device/code', query, call, 3));
      const intervalMs = device.interval * 1000 + INTERVAL_MARGIN_MS;
      return {
        userCode: device.user_code,
        verificationUrl: device.verification_url,
        // The page takes the code from its address, so scanning spares typing it.
        qrContent: `${device.verification_url}?${new URLSearchParams({ code: device.user_code, display: 'mobile' })}`,
        expiresAt: addMs(services.clock.now(), device.expires_in * 1000),
        intervalMs,
        state: { deviceCode: device.device_code, intervalMs },
      };
    },

    async pollDevice(state, call): Promise<DevicePoll> {
      const { deviceCode, intervalMs } = parsed(DEVICE_STATE, state);
      try {
        return {
          outcome: 'APPROVED',
          tokens: await grant('oauth.poll', { grant_type: 'device_token', code: deviceCode }, call),
        };
      } catch (error) {
        if (!(error instanceof DriveError)) throw error;
        switch (error.providerCode) {
          case 'authorization_pending':
            return { outcome: 'PENDING' };
          case 'slow_down': {
            const slower = intervalMs + SLOW_DOWN_MS;
            return { outcome: 'PENDING', intervalMs: slower, state: { deviceCode, intervalMs: slower } };
          }
          case 'authorization_declined':
          case 'access_denied':
            return { outcome: 'DENIED' };
          case 'expired_token':
          case 'invalid_grant':
            return { outcome: 'EXPIRED' };
          default:
            throw error;
        }
      }
    },

    authorizationUrl: (request) => {
      const query = new URLSearchParams({
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri ?? request.redirectUri,
        scope: SCOPE,
        state: request.state,
        display: 'page',
      });
      return `${openapiUrl}/oauth/2.0/authorize?${query}`;
    },

    exchangeCode: (exchange, call) =>
      grant(
        'oauth.code',
        {
          grant_type: 'authorization_code',
          code: exchange.code,
          redirect_uri: redirectUri ?? exchange.redirectUri,
        },
        call,
      ),

    async refresh({ tokens }, call) {
      const refreshToken = tokens?.refreshToken;
      if (!refreshToken)
        throw baiduError('unauthenticated', 'gave no refresh token. Link the account again.', null, {});
      return grant('oauth.refresh', { grant_type: 'refresh_token', refresh_token: refreshToken.reveal() }, call);
    },

    /** Documented in 2013 only: what Baidu does not confirm counts as not ended. */
    async revoke({ tokens }, call) {
      if (!tokens) return false;
      const path = '/rest/2.0/passport/auth/revokeAuthorization';
      const body = await ask('oauth.revoke', path, { access_token: tokens.accessToken.reveal() }, call, 1);
      return z.object({ result: z.coerce.string() }).safeParse(body).data?.result === '1';
    },

    // A timeout is ambiguous at Baidu: the reference says to send the same token once more.
    refreshResendMax: 1,
  };
}

/** What was expected; an answer without it is as good as none. */
export function parsed<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const { data, success, error } = schema.safeParse(body);
  if (success) return data;
  throw baiduError('unavailable', 'gave an answer that lacks what was asked for.', null, { cause: error });
}
