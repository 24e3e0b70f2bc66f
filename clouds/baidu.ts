import { startBaiduFake } from '../src/drives/baidu/fake/index.ts';
import type { StartCloud } from './cloud.ts';

const APP_ROOT = '/apps/PanQL';

export const startBaidu: StartCloud = async ({ callbackUrl }) => {
  const fake = await startBaiduFake({
    app: { redirectUris: [callbackUrl] },
    settings: { appRoot: APP_ROOT, webEndpoints: true },
  });
  const person = fake.createUser({ baiduName: 'Ada', vipType: 2, shareGrant: true, searchGrant: true });
  fake.seedFile(person, `${APP_ROOT}/Welcome.txt`, 'This is a file on an imitation of Baidu Netdisk.\n');
  fake.seedFile(person, `${APP_ROOT}/资料/Report.pdf`, 200_000);
  fake.seedFile(person, `${APP_ROOT}/Videos/Holiday.mp4`, 20_000_000);
  fake.setVisitor(person); // Who comes to the sign-in page confirms there.

  const { devices } = fake;
  return {
    provider: 'BAIDU',
    title: 'Baidu Netdisk',
    person: 'Ada',
    settings: {
      BAIDU_CLIENT_ID: fake.app.clientId,
      BAIDU_CLIENT_SECRET: fake.app.clientSecret,
      BAIDU_APP_ID: fake.app.appId,
      BAIDU_APP_ROOT: APP_ROOT,
      BAIDU_UNVERIFIED: 'true',
      BAIDU_OPENAPI_URL: fake.urls.openapi,
      BAIDU_PAN_URL: fake.urls.pan,
      BAIDU_PCS_URL: fake.urls.pcs,
    },
    linking: {
      method: 'DEVICE_CODE',
      waiting: () =>
        devices.all
          .filter(({ state, expiresAt }) => state === 'waiting' && expiresAt > Date.now())
          .map(({ userCode }) => userCode),
      confirm: (code) => devices.approve(person, code),
      refuse: (code) => devices.deny(code),
      // Baidu does not tell that a code was scanned.
    },
    close: fake.close,
  };
};
