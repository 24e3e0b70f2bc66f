import { createHash } from 'node:crypto';
import type { Uploads } from './upload.ts';
import { type Asked, type Endpoint, type Fields, Refusal, Reply } from './wire.ts';
import type { World } from './world.ts';

const COMMON = 'parentFileID:int! filename:text! etag:text! size:int! duplicate:int containDir:bool';
/** How long a presigned address is good, in milliseconds. */
const PRESIGNED_MS = 600_000;

/** The first version: each part goes to the object storage by an address of its own. */
export function uploadV1Endpoints(world: World, uploads: Uploads): Endpoint[] {
  const post = (path: string, params: string, handle: (call: Asked) => unknown): Endpoint => ({
    role: 'api',
    verb: 'POST',
    path: `/upload/v1/file/${path}`,
    auth: 'token',
    params,
    handle,
  });
  const result = (call: Asked): Fields => {
    const session = uploads.session(call);
    session.polls += 1;
    if (!session.made && session.polls <= world.settings.asyncPolls) return { completed: false, fileID: 0n };
    return { completed: true, fileID: (session.made ?? uploads.finish(session)).id };
  };
  return [
    post('create', COMMON, (call) => {
      const wanted = uploads.wantedOf(call);
      uploads.checkFree(call.user, wanted);
      const content = uploads.known(wanted);
      if (content) return { reuse: true, fileID: uploads.make(call.user, wanted, content).id };
      const { id, sliceBytes } = uploads.begin(call.user, wanted);
      return { reuse: false, fileID: 0n, preuploadID: id, sliceSize: sliceBytes };
    }),
    post('get_upload_url', 'preuploadID:text! sliceNo:int!', (call) => {
      const session = uploads.session(call);
      const number = call.values.int('sliceNo');
      if (number < 1 || number > Math.ceil(session.wanted.size / session.sliceBytes)) {
        world.violate(`an address for part ${number} was asked for`);
        throw new Refusal(1, '分片序号错误');
      }
      const until = world.now + PRESIGNED_MS;
      const query = `part=${number}&uid=${session.user.uid}&until=${until}&X-Amz-Signature=abc`;
      return { presignedURL: `${world.urls.oss}/bucket/${session.id}?${query}`, isMultipart: true };
    }),
    post('list_upload_parts', 'preuploadID:text!', (call) => {
      const { slices, wanted, sliceBytes } = uploads.session(call);
      if (wanted.size < sliceBytes) return { parts: [] };
      return {
        // The documents say a number, and their sample has a text.
        parts: [...slices].map(([number, bytes]) => ({
          partNumber: number % 2 === 0 ? number : String(number),
          size: bytes.length,
          etag: createHash('md5').update(bytes).digest('hex'),
        })),
      };
    }),
    post('upload_complete', 'preuploadID:text!', (call) => {
      const session = uploads.session(call);
      session.polls = 0;
      return session.made
        ? { async: false, completed: true, fileID: session.made.id }
        : { async: true, completed: false, fileID: 0n };
    }),
    post('upload_async_result', 'preuploadID:text!', result),
    {
      role: 'oss',
      verb: 'PUT',
      path: '/bucket/*',
      auth: 'none',
      bytes: true,
      params: '*',
      answer: ({ path, query, body, headers }) => {
        if (headers['content-length'] === undefined) world.violate('a part came without its length');
        const user = world.users.find(({ uid }) => String(uid) === query.get('uid'));
        if (!user || Number(query.get('until')) < world.now) return new Reply(403, {}, '<Error/>');
        try {
          const session = uploads.sessionOf(path.slice('/bucket/'.length), user);
          uploads.store(session, Number(query.get('part')), Buffer.from(body));
        } catch (error) {
          if (error instanceof Refusal) return new Reply(400, {}, '<Error/>');
          throw error;
        }
        return new Reply(200, {}, '');
      },
    },
  ];
}
