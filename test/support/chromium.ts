import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const EXECUTABLE = process.env.PANQL_TEST_CHROMIUM ?? '/usr/bin/chromium';

/** Without the errands that a browser runs for itself: what is left are the requests of the page. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage', // A container has 64 MB of it.
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * For the `skip` option of a test: false when there is a browser, else the reason that is printed.
 * @throws when there is none and PANQL_TEST_REQUIRE_SERVICES is 1.
 */
export function skipWithoutChromium(): string | false {
  if (existsSync(EXECUTABLE)) return false;
  const reason = `there is no Chromium at ${EXECUTABLE}: install it, or name another in PANQL_TEST_CHROMIUM`;
  if (process.env.PANQL_TEST_REQUIRE_SERVICES === '1') throw new Error(reason);
  return reason;
}

export const launchChromium = (): Promise<Browser> => chromium.launch({ executablePath: EXECUTABLE, args: ARGUMENTS });
