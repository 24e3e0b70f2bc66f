import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { addMs } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import { Secret } from '../../lib/secret.ts';
import type { Transport } from '../../transport/outbound.ts';
import type { QueryValues } from '../../transport/request.ts';
import type { Pan115Services } from '../cloud.ts';
import type { CallContext } from '../driver.ts';
import type { DevicePoll, Linking, Tokens } from '../linking.ts';
import { classify, PROVIDER, pan115Error, TITLE } from './errors.ts';
import { originsOf, USER_AGENT } from './hosts.ts';
import { objectOf } from './wire.ts';

/** Between two looks at a code, in milliseconds. */
const INTERVAL_MS = 2_000;
/** How long a code is waited for, in milliseconds: 115 does not say, and tells by itself when one is no longer good. */
const DEVICE_MS = 10 * 60_000;
/** 115 holds a look until something happens, longer than a look here may take: then it is asked again. */
const POLL_TIMEOUT_MS = 12_000;
/** A second refresh within this time is refused (40140117), in milliseconds. */
const REFRESH_INTERVAL_MS = 60_000;

/** What every access token was seen to live, in seconds. */
const ACCESS_SECONDS = 7_200;

const TOKENS = z.object({
  data: objectOf(
    z.object({
      access_token: z.string().min(1),
      refresh_token: z.string().min(1).optional(),
      /** Every field of the answer may be missing, but a pair that came is never thrown away: the one before is used up. */
      expires_in: z.coerce.number().positive().catch(ACCESS_SECONDS),
    }),
  ),
});
const DEVICE = z.object({
  data: objectOf(
    z.object({
      uid: z.coerce.string().min(1),
      time: z.coerce.string().min(1),
      sign: z.string().min(1),
      qrcode: z.string().min(1),
    }),
  ),
});
const STATUS = z.object({
  data: z.preprocess(
    (data) => (typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {}),
    z.object({ status: z.coerce.number().optional() }),
  ),
});
const DEVICE_STATE = z.object({
  uid: z.string(),
  time: z.string(),
  sign: z.string(),
  verifier: z.string(),
  scanned: z.boolean(),
});

/** Sign-in at `passportapi.115.com`. Tokens are renewed without an application, so they are taken also where there is none. */
export function createLinking(services: Pan115Services): Linking {
  const { clientId, clientSecret, redirectUri, passportUrl, qrcodeUrl } = services.pan115;
  const transportFor = (accountId: string): Transport =>
    services.outbound.transport({
      provider: PROVIDER,
      title: TITLE,
      accountId,
      classify,
      baseUrl: passportUrl,
      headers: { 'user-agent': USER_AGENT },
      textKeys: ['uid', 'time'],
      trustedOrigins: originsOf(services.pan115),
    });
  const transport = transportFor(`app:${PROVIDER}`);

  const post = async (
    endpoint: string,
    url: string,
    form: QueryValues,
    { signal }: CallContext,
    { by = transport, attempts = 1 } = {},
  ) => {
    const idempotent = endpoint === 'oauth.device';
    const request = { method: 'POST', url, body: { form }, endpoint, as: 'json', auth: false, idempotent } as const;
    return (await by.send({ ...request, signal, attempts })).body;
  };
  const tokensFrom = (body: unknown): Tokens => {
    const { access_token, refresh_token, expires_in } = parsed(TOKENS, body).data;
    return {
      accessToken: new Secret(access_token),
      refreshToken: refresh_token === undefined ? null : new Secret(refresh_token),
      expiresAt: addMs(services.clock.now(), expires_in * 1000),
    };
  };

  return {
    ...(clientId === null
      ? {}
      : {
          async startDevice(call: CallContext) {
            const verifier = randomBytes(48).toString('base64url');
            const form = {
              client_id: clientId,
              code_challenge: createHash('sha256').update(verifier).digest('base64'),
              code_challenge_method: 'sha256',
            };
            const body = await post('oauth.device', '/open/authDeviceCode', form, call, { attempts: 3 });
            const { uid, time, sign, qrcode } = parsed(DEVICE, body).data;
            return {
              userCode: null,
              verificationUrl: qrcode,
              qrContent: qrcode,
              expiresAt: addMs(services.clock.now(), DEVICE_MS),
              intervalMs: INTERVAL_MS,
              state: { uid, time, sign, verifier, scanned: false },
            };
          },

          async pollDevice(state: unknown, call: CallContext): Promise<DevicePoll> {
            const device = parsed(DEVICE_STATE, state);
            const { uid, time, sign, verifier } = device;
            const waiting = (scanned: boolean): DevicePoll =>
              scanned ? { outcome: 'SCANNED', state: { ...device, scanned } } : { outcome: 'PENDING' };
            let status: number | undefined;
            try {
              status = await look({ uid, time, sign }, call);
            } catch (error) {
              if (!(error instanceof DriveError) || call.signal.aborted) throw error;
              if (error.category === 'timeout' || error.category === 'unavailable') return waiting(device.scanned);
              if (error.category === 'rate_limited') throw error;
              // A failure of whatever other number means that the code is no longer good.
              return { outcome: 'EXPIRED' };
            }
            if (status === -2) return { outcome: 'DENIED' };
            if (status === -1) return { outcome: 'EXPIRED' };
            if (status !== 2) return waiting(status === 1 || device.scanned);
            const form = { uid, code_verifier: verifier };
            return {
              outcome: 'APPROVED',
              tokens: tokensFrom(await post('oauth.exchange', '/open/deviceCodeToToken', form, call)),
            };
          },
        }),

    ...(clientId === null || clientSecret === null
      ? {}
      : {
          authorizationUrl: (request: { readonly state: string; readonly redirectUri: string }) => {
            const query = new URLSearchParams({
              client_id: clientId,
              redirect_uri: redirectUri ?? request.redirectUri,
              response_type: 'code',
              state: request.state,
            });
            return `${passportUrl.replace(/\/+$/, '')}/open/authorize?${query}`;
          },

          async exchangeCode(exchange: { readonly code: string; readonly redirectUri: string }, call: CallContext) {
            const form = {
              client_id: clientId,
              client_secret: clientSecret.reveal(),
              code: exchange.code,
              redirect_uri: redirectUri ?? exchange.redirectUri,
              grant_type: 'authorization_code',
            };
            return tokensFrom(await post('oauth.exchange', '/open/authCodeToToken', form, call));
          },
        }),

    async refresh({ tokens }, call) {
      const refreshToken = tokens?.refreshToken?.reveal();
      if (!refreshToken) {
        throw pan115Error('unauthenticated', 'gave no refresh token. Link the account again.', null, {});
      }
      // Each grant has limits of its own: one that must wait does not keep the others waiting.
      const grant = createHash('sha256').update(refreshToken).digest('base64url').slice(0, 16);
      const by = transportFor(`grant:${PROVIDER}:${grant}`);
      const form = { refresh_token: refreshToken };
      return tokensFrom(await post('oauth.refresh', '/open/refreshToken', form, call, { by, attempts: 3 }));
    },

    // Whether 115 saw the one whose answer was lost is not known: if it did, it says so (40140120), and once does no harm.
    refreshResendMax: 1,
    refreshIntervalMinMs: REFRESH_INTERVAL_MS,
  };

  /** What happened to a code so far; undefined: nothing. */
  async function look(code: QueryValues, { signal }: CallContext): Promise<number | undefined> {
    const { body } = await transport.send({
      method: 'GET',
      url: `${qrcodeUrl.replace(/\/+$/, '')}/get/status/`,
      query: code,
      endpoint: 'oauth.poll',
      as: 'json',
      auth: false,
      idempotent: true,
      signal,
      attempts: 1,
      timeoutMs: POLL_TIMEOUT_MS,
    });
    return parsed(STATUS, body).data.status;
  }
}

/** What was expected; an answer without it is as good as none. */
export function parsed<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const { data, success, error } = schema.safeParse(body);
  if (success) return data;
  throw pan115Error('unavailable', 'gave an answer that lacks what was asked for.', null, { cause: error });
}
