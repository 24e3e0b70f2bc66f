import { startBaidu } from './baidu.ts';
import type { Cloud, StartCloud } from './cloud.ts';
import { startNetdisk } from './netdisk.ts';
import { startPan115 } from './pan115.ts';
import { startPan123 } from './pan123.ts';

/** Every imitation that there is: a further one adds its line here. */
const CLOUDS: readonly StartCloud[] = [startBaidu, startPan115, startPan123, startNetdisk];

export interface Clouds extends AsyncDisposable {
  readonly all: readonly Cloud[];
  /** For one server before all of them. */
  readonly settings: Readonly<Record<string, string>>;
}

/** @param serverUrl Of the server that will stand before them, `http://host:port`. */
export async function startClouds(serverUrl: string): Promise<Clouds> {
  const callbackUrl = `${serverUrl}/link/callback`;
  const all = await Promise.all(CLOUDS.map((start) => start({ callbackUrl })));
  return {
    all,
    settings: Object.assign(
      { OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8' }, // Imitations are at addresses that no cloud has.
      ...all.map(({ settings }) => settings),
    ),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(all.map((cloud) => cloud.close()));
    },
  };
}
