/**
 * An imitation of Baidu Netdisk in a process of its own, which keeps no uploaded byte and makes up those that are
 * downloaded. `GET /settings` tells what a server needs to use it, and how large the file is that can be downloaded;
 * `GET /digests?path=` what came of an upload.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { madeBytes } from '../../src/drives/baidu/fake/content.ts';
import { startBaiduFake } from '../../src/drives/baidu/fake/index.ts';

const APP_ROOT = '/apps/bench';
const PIECE_BYTES = 1024 * 1024;

const downloadBytes = Number(process.env.DOWNLOAD_BYTES);
const fake = await startBaiduFake({ keep: 'digests', settings: { appRoot: APP_ROOT } });
const user = fake.createUser({ vipType: 2 });
fake.seedFile(user, `${APP_ROOT}/made.bin`, downloadBytes);

const settings = {
  BAIDU_CLIENT_ID: fake.app.clientId,
  BAIDU_CLIENT_SECRET: fake.app.clientSecret,
  BAIDU_APP_ROOT: APP_ROOT,
  BAIDU_OPENAPI_URL: fake.urls.openapi,
  BAIDU_PAN_URL: fake.urls.pan,
  BAIDU_PCS_URL: fake.urls.pcs,
  OUTBOUND_ALLOW_CIDRS: '127.0.0.0/8',
};

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://control');
  const answer = (value: unknown): void => void response.end(JSON.stringify(value));
  switch (pathname) {
    case '/ready':
      return answer('yes');
    case '/settings':
      return answer({ settings, token: fake.grant(user).accessToken });
    case '/digests':
      return answer(fake.digestsAt(user, `${APP_ROOT}/${searchParams.get('name')}`));
    case '/made':
      return answer({ md5: madeMd5() });
    default:
      response.writeHead(404).end();
  }
}).listen(Number(process.env.PORT), '127.0.0.1');

/** Of the file that can be downloaded. */
function madeMd5(): string {
  const hash = createHash('md5');
  for (let at = 0; at < downloadBytes; at += PIECE_BYTES) {
    hash.update(madeBytes(at, Math.min(PIECE_BYTES, downloadBytes - at)));
  }
  return hash.digest('hex');
}
