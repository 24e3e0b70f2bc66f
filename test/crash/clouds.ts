import { startBaiduFake } from '../../src/drives/baidu/fake/index.ts';
import { startNetdiskFake } from '../../src/drives/netdisk/fake/index.ts';
import { startPan115Fake } from '../../src/drives/pan115/fake/index.ts';
import { startPan123Fake } from '../../src/drives/pan123/fake/index.ts';
import { type FaultPlan, startFaultProxy } from './fault-proxy.ts';

/** A cloud of the run: an imitation, with the faults before each of its hosts. */
export interface CrashCloud {
  readonly provider: 'BAIDU' | 'PAN123' | 'PAN115' | 'NETDISK';
  /** Of the server. */
  readonly settings: Readonly<Record<string, string>>;
  /** A mutation that links its account. */
  readonly link: string;
  seed(path: string, bytes: Buffer): void;
  /** What it really holds, past the server and the faults; null: no file. Paths are those that the server shows. */
  bytesAt(path: string): Buffer | null;
  /** The names in a folder, of a cloud that the server cannot list. */
  readonly namesIn?: (path: string) => readonly string[];
  /** Uploads that its storage waits for, where it tells. */
  readonly unfinished?: () => number;
  /** What was done that its documents forbid. */
  violations(): readonly string[];
  close(): Promise<void>;
}

const APP_ROOT = '/apps/PanQL';

export async function startCrashClouds(plan: FaultPlan): Promise<readonly CrashCloud[]> {
  return Promise.all([startBaidu(plan), startPan123(plan), startPan115(plan), startNetdisk(plan)]);
}

async function startBaidu(plan: FaultPlan): Promise<CrashCloud> {
  const fake = await startBaiduFake({ settings: { appRoot: APP_ROOT } });
  const stop = await putBehindFaults('BAIDU', fake.urls, plan);
  const user = fake.createUser({ vipType: 2 });
  return {
    provider: 'BAIDU',
    settings: {
      BAIDU_CLIENT_ID: fake.app.clientId,
      BAIDU_CLIENT_SECRET: fake.app.clientSecret,
      BAIDU_APP_ID: fake.app.appId,
      BAIDU_APP_ROOT: APP_ROOT,
      BAIDU_OPENAPI_URL: fake.urls.openapi,
      BAIDU_PAN_URL: fake.urls.pan,
      BAIDU_PCS_URL: fake.urls.pcs,
    },
    link: upsert('BAIDU', fake.grant(user)),
    seed: (path, bytes) => void fake.seedFile(user, APP_ROOT + path, bytes),
    bytesAt: (path) => fake.bytesAt(user, APP_ROOT + path),
    violations: () => fake.violations,
    close: async () => {
      await stop();
      await fake.close();
    },
  };
}

async function startPan123(plan: FaultPlan): Promise<CrashCloud> {
  const fake = await startPan123Fake();
  const stop = await putBehindFaults('PAN123', fake.urls, plan);
  const user = fake.createUser({ vip: true });
  return {
    provider: 'PAN123',
    settings: { PAN123_API_URL: fake.urls.api, PAN123_AUTH_URL: fake.urls.api },
    link: typed('PAN123', { clientId: user.clientId, clientSecret: user.clientSecret }),
    seed: (path, bytes) => void fake.seedFile(user, path, bytes),
    bytesAt: (path) => fake.bytesAt(user, path),
    violations: () => fake.violations,
    close: async () => {
      await stop();
      await fake.close();
    },
  };
}

async function startPan115(plan: FaultPlan): Promise<CrashCloud> {
  const fake = await startPan115Fake();
  const stop = await putBehindFaults('PAN115', fake.urls, plan);
  const user = fake.createUser({ level: '年费VIP' });
  return {
    provider: 'PAN115',
    settings: {
      PAN115_CLIENT_ID: fake.app.clientId,
      PAN115_CLIENT_SECRET: fake.app.clientSecret,
      PAN115_PASSPORT_URL: fake.urls.passport,
      PAN115_QRCODE_URL: fake.urls.qrcode,
      PAN115_API_URL: fake.urls.api,
      PAN115_OSS_URL: fake.urls.oss,
    },
    link: upsert('PAN115', fake.grant(user)),
    seed: (path, bytes) => void fake.seedFile(user, path, bytes),
    bytesAt: (path) => fake.bytesAt(user, path),
    unfinished: () => fake.unfinishedUploads(),
    violations: () => fake.violations,
    close: async () => {
      await stop();
      await fake.close();
    },
  };
}

async function startNetdisk(plan: FaultPlan): Promise<CrashCloud> {
  const fake = await startNetdiskFake();
  const proxy = await startFaultProxy('NETDISK', new URL(fake.url).origin, plan);
  const { username, password, world } = fake.createUser();
  return {
    provider: 'NETDISK',
    settings: {},
    link: typed('NETDISK', { baseUrl: proxy.url + new URL(fake.url).pathname, username, password }),
    seed: (path, bytes) => {
      for (let at = path.indexOf('/', 1); at > 0; at = path.indexOf('/', at + 1)) {
        if (world.kindOf(path.slice(0, at)) === null) world.put(path.slice(0, at), null);
      }
      world.put(path, bytes);
    },
    bytesAt: (path) => world.bytesOf(path),
    namesIn: (path) => world.namesIn(path),
    violations: () => fake.violations,
    close: async () => {
      await proxy.close();
      await fake.close();
    },
  };
}

const typed = (provider: string, values: Readonly<Record<string, string>>): string => {
  const list = Object.entries(values).map(([name, value]) => `{ name: "${name}", value: "${value}" }`);
  return `mutation { linked: linkWithCredentials(input: { provider: ${provider}, values: [${list}] }) {
    ... on LinkWithCredentialsPayload { account { id } } ... on UserError { message } } }`;
};

const upsert = (
  provider: string,
  { accessToken, refreshToken }: { readonly accessToken: string; readonly refreshToken: string },
): string => `mutation { linked: upsertAccountTokens(input: { provider: ${provider}, accessToken: "${accessToken}", refreshToken: "${refreshToken}" }) {
  ... on UpsertAccountTokensPayload { account { id } } ... on UserError { message } } }`;

/** Each host gets a proxy, of which the imitation tells from then on, also in the addresses that it hands out. */
async function putBehindFaults(
  name: string,
  urls: Readonly<Record<string, string>>,
  plan: FaultPlan,
): Promise<() => Promise<void>> {
  const proxies = await Promise.all(
    Object.entries(urls).map(async ([role, url]) => {
      const proxy = await startFaultProxy(`${name} ${role}`, url, plan);
      (urls as Record<string, string>)[role] = proxy.url;
      return proxy;
    }),
  );
  return async () => {
    await Promise.all(proxies.map((proxy) => proxy.close()));
  };
}
