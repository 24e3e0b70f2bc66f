import { startNetdiskFake } from '../src/drives/netdisk/fake/index.ts';
import type { StartCloud } from './cloud.ts';

export const startNetdisk: StartCloud = async () => {
  const fake = await startNetdiskFake();
  const { username, password, world } = fake.createUser('kim');
  world.put('/Welcome.txt', Buffer.from('This is a file on an imitation of a Netdisk server.\n'));
  world.put('/资料', null);
  world.put('/资料/Report.pdf', Buffer.alloc(200_000));
  return {
    provider: 'NETDISK',
    title: 'Netdisk server',
    person: 'kim',
    settings: {},
    linking: { method: 'CREDENTIALS', values: { baseUrl: fake.url, username, password } },
    close: fake.close,
  };
};
