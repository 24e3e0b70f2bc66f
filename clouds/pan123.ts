import { startPan123Fake } from '../src/drives/pan123/fake/index.ts';
import type { StartCloud } from './cloud.ts';

export const startPan123: StartCloud = async ({ callbackUrl }) => {
  const fake = await startPan123Fake({
    app: { redirectUris: [callbackUrl] },
    settings: { sliceBytes: 4 * 1024 * 1024 },
  });
  const person = fake.createUser({ nickname: 'Lin', vip: true });
  fake.seedFile(person, '/Welcome.txt', 'This is a file on an imitation of 123pan.\n');
  fake.seedFile(person, '/资料/Report.pdf', 200_000);
  fake.seedFile(person, '/Videos/Holiday.mp4', 2_000_000);
  return {
    provider: 'PAN123',
    title: '123pan',
    person: 'Lin',
    settings: {
      PAN123_CLIENT_ID: fake.app.clientId,
      PAN123_CLIENT_SECRET: fake.app.clientSecret,
      PAN123_API_URL: fake.urls.api,
    },
    linking: {
      method: 'CREDENTIALS',
      values: { clientId: person.clientId, clientSecret: person.clientSecret },
    },
    close: fake.close,
  };
};
