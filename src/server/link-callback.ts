import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DomainError } from '../lib/errors.ts';
import { findDomainError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { LINK_CALLBACK_PATH } from '../services/linking/authorizations.ts';
import type { Services } from '../services/services.ts';
import type { Route } from './http.ts';
import { sendPage } from './page.ts';

/** How long the provider may take to give the tokens and say whose they are, in milliseconds. */
const COMPLETE_MS = 60_000;

export interface LinkCallbackOptions {
  readonly services: Pick<Services, 'authorizations'>;
  readonly log: Logger;
}

/** Where a provider's sign-in page sends the browser back to: completes the link, and tells the person what to do next. */
export const createLinkCallbackRoute = (options: LinkCallbackOptions): Route => ({
  path: LINK_CALLBACK_PATH,
  handle: (request, response) => answer(request, response, options),
});

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { services, log }: LinkCallbackOptions,
): Promise<void> {
  // The address holds a code: it is kept out of caches and of the headers of what comes next.
  response.setHeader('cache-control', 'no-store');
  response.setHeader('referrer-policy', 'no-referrer');
  if (request.method !== 'GET') {
    response.setHeader('allow', 'GET');
    return page(response, 405, 'Not here', 'Open this address in a browser.');
  }
  const query = new URL(request.url ?? '/', 'http://localhost').searchParams;
  const [state, code] = [query.get('state'), query.get('code')];
  if (query.get('error')) {
    return page(response, 400, 'Not linked', 'The sign-in was refused. Close this window, and begin again in the app.');
  }
  if (!state || !code) {
    return page(response, 400, 'Not linked', 'This address lacks the answer of the provider. Begin again in the app.');
  }

  try {
    // Goes on when the window is closed: the code works only once.
    const signal = AbortSignal.timeout(COMPLETE_MS);
    const account = await services.authorizations.complete(null, state, code, signal);
    page(response, 200, 'Linked', `“${account.label}” is linked. Close this window, and go back to the app.`);
  } catch (error) {
    const known: DomainError | null = findDomainError(error);
    if (!known) log.error({ err: error }, 'a sign-in could not be completed');
    page(
      response,
      known ? 400 : 500,
      'Not linked',
      known?.message ?? 'The sign-in could not be completed. Begin again in the app.',
    );
  }
}

const page = (response: ServerResponse, status: number, title: string, message: string): void =>
  sendPage(response, status, { title, message, asksKey: false });
