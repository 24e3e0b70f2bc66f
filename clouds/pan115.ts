import { startPan115Fake } from '../src/drives/pan115/fake/index.ts';
import type { StartCloud } from './cloud.ts';

export const startPan115: StartCloud = async ({ callbackUrl }) => {
  const fake = await startPan115Fake({ app: { redirectHosts: [new URL(callbackUrl).hostname] } });
  const person = fake.createUser({ name: 'Mei', level: '年费VIP' });
  fake.seedFile(person, '/Welcome.txt', 'This is a file on an imitation of 115.\n');
  fake.seedFile(person, '/资料/Report.pdf', 200_000);
  fake.seedFile(person, '/Videos/Holiday.mp4', 20_000_000, {
    durationSeconds: 61.5,
    width: 1920,
    height: 1080,
    transcoded: true,
  });
  fake.seedFile(person, '/云下载/种子文件/Album.torrent', 'an imitation of a torrent', {
    torrent: { name: 'Album', files: [{ path: 'One.flac', size: 30_000_000 }] },
  });
  fake.setVisitor(person); // Who comes to the sign-in page is signed in there.

  const { devices } = fake;
  return {
    provider: 'PAN115',
    title: '115',
    person: 'Mei',
    settings: {
      PAN115_CLIENT_ID: fake.app.clientId,
      PAN115_CLIENT_SECRET: fake.app.clientSecret,
      PAN115_PASSPORT_URL: fake.urls.passport,
      PAN115_QRCODE_URL: fake.urls.qrcode,
      PAN115_API_URL: fake.urls.api,
      PAN115_OSS_URL: fake.urls.oss,
    },
    linking: {
      method: 'DEVICE_CODE',
      waiting: () =>
        devices.all
          .filter(({ state, expiresAt }) => /^(waiting|scanned)$/.test(state) && expiresAt > Date.now())
          .map(({ uid }) => uid),
      confirm: (code) => devices.approve(person, code),
      refuse: (code) => devices.cancel(code),
      scan: (code) => devices.scan(code),
    },
    close: fake.close,
  };
};
