import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFile, link, mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { ServerFiles } from './server-files.ts';

const signal = new AbortController().signal;
const BYTES = Buffer.alloc(3_000_000, 'abcdefg');

describe('files of the server', () => {
  let base: string;
  let files: ServerFiles;
  const at = (...parts: string[]): string => join(base, ...parts);
  const read = async (path: string, start = 0): Promise<Buffer> => buffer((await files.open(path)).read(start, signal));

  before(async () => {
    base = await mkdtemp(join(tmpdir(), 'panql-import-'));
    for (const folder of ['media/films', 'media-private', 'elsewhere', 'mounted']) {
      await mkdir(at(folder), { recursive: true });
    }
    await writeFile(at('media/films/a.mkv'), BYTES);
    await writeFile(at('media/empty'), '');
    await writeFile(at('media-private/secret'), 'secret');
    await writeFile(at('elsewhere/secret'), 'secret');
    await writeFile(at('mounted/there'), 'there');
    await symlink(at('elsewhere'), at('media/out'));
    await symlink(at('elsewhere/secret'), at('media/out-file'));
    await symlink('../elsewhere/secret', at('media/out-relative'));
    await symlink('films', at('media/in'));
    await symlink('loop', at('media/loop'));
    await symlink(at('elsewhere/nothing'), at('media/broken'));
    await symlink(at('mounted'), at('link'));
    execFileSync('mkfifo', [at('media/pipe')]);
    files = new ServerFiles([at('media'), at('link'), at('not-there')]);
  });
  after(() => rm(base, { recursive: true }));

  it('gives the bytes, from any place on', async () => {
    assert.deepEqual(await read(at('media/films/a.mkv')), BYTES);
    assert.deepEqual(await read(at('media/films/a.mkv'), 2_999_990), BYTES.subarray(2_999_990));
    assert.deepEqual(await read(at('media/films/a.mkv'), BYTES.length), Buffer.alloc(0));
    assert.deepEqual(await read(at('media/empty')), Buffer.alloc(0));
  });

  it('follows links that stay inside, and folders that the operator named by a link', async () => {
    assert.deepEqual(await read(at('media/in/a.mkv')), BYTES);
    assert.equal(String(await read(at('link/there'))), 'there');
  });

  for (const [path, code] of [
    ['elsewhere/secret', 'PERMISSION_DENIED'],
    ['elsewhere/nothing', 'PERMISSION_DENIED'],
    ['media-private/secret', 'PERMISSION_DENIED'],
    ['media', 'PERMISSION_DENIED'],
    ['media/out/secret', 'PERMISSION_DENIED'],
    ['media/out-file', 'PERMISSION_DENIED'],
    ['media/out-relative', 'PERMISSION_DENIED'],
    ['mounted/there', 'PERMISSION_DENIED'],
    ['media/loop', 'PERMISSION_DENIED'],
    ['media/broken', 'NOT_FOUND'],
    ['media/nothing', 'NOT_FOUND'],
    ['media/empty/below', 'NOT_FOUND'],
    ['media/%2e%2e/elsewhere/secret', 'NOT_FOUND'],
    ['media/..%2felsewhere%2fsecret', 'NOT_FOUND'],
    ['media/．．/elsewhere/secret', 'NOT_FOUND'],
    [`media/${'a'.repeat(300)}`, 'NOT_FOUND'],
    ['not-there/a', 'NOT_FOUND'],
    ['media/films', 'INVALID_INPUT'],
    ['media/pipe', 'INVALID_INPUT'],
  ] as const) {
    it(`${path} is ${code}`, async () => {
      await assert.rejects(files.open(at(path)), (error: Error & { code: string }) => {
        assert.equal(error.code, code);
        assert.ok(!error.message.includes(base), 'no path of the server is told');
        return true;
      });
    });
  }

  for (const path of [
    'media/../elsewhere/secret',
    'media/films/../../elsewhere/secret',
    'media/films/../films/a.mkv',
    'media\\..\\elsewhere\\secret',
    'media/empty\0.txt',
    'media/empty\n',
  ]) {
    it(`${JSON.stringify(path)} is no path that is looked at`, async () => {
      await assert.rejects(files.open(`${base}/${path}`), { code: 'INVALID_INPUT' });
    });
  }

  for (const path of ['media/empty', './media/empty', '~/a', 'file:///etc/passwd', '', '..', 'C:\\a']) {
    it(`"${path}" is not absolute`, () => assert.rejects(files.open(path), { code: 'INVALID_INPUT' }));
  }

  for (const path of ['/etc/passwd', '/dev/zero', '/proc/self/environ', '/']) {
    it(`${path} is not to be had`, () => assert.rejects(files.open(path), { code: 'PERMISSION_DENIED' }));
  }

  it('devices, sockets and what the kernel makes up are no regular files, or have no bytes', async () => {
    const anywhere = new ServerFiles(['/']);
    await assert.rejects(anywhere.open('/dev/zero'), { code: 'INVALID_INPUT' });
    await assert.rejects(anywhere.open('/dev/null'), { code: 'INVALID_INPUT' });
    const socket = at('media/socket');
    const server = createServer().listen(socket);
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      await assert.rejects(files.open(socket), { code: 'INVALID_INPUT' });
    } finally {
      server.close();
    }
  });

  it('without a folder named, nothing can be had', async () => {
    await assert.rejects(new ServerFiles([]).open(at('media/empty')), { code: 'PERMISSION_DENIED' });
  });

  for (const [what, change] of [
    ['grows', (path: string) => appendFile(path, 'more')],
    ['becomes shorter', (path: string) => writeFile(path, 'less')],
    ['is written over', (path: string) => writeFile(path, Buffer.alloc(BYTES.length, 'x'))],
    [
      'is written over, its old time set again',
      async (path: string) => {
        await writeFile(path, Buffer.alloc(BYTES.length, 'x'));
        await utimes(path, 1, 1);
      },
    ],
  ] as const) {
    it(`a file that ${what} while it is read never comes whole`, async () => {
      const path = at('media/changing');
      await writeFile(path, BYTES);
      await utimes(path, 1, 1);
      const file = await files.open(path);
      const body = file.read(0, signal);
      const chunks: Buffer[] = [];
      await assert.rejects(
        async () => {
          for await (const chunk of body as AsyncIterable<Buffer>) {
            if (chunks.length === 0) await change(path);
            chunks.push(chunk);
          }
        },
        { category: 'corrupted' },
      );
      assert.ok(Buffer.concat(chunks).length < file.sizeBytes);
    });
  }

  it('a file that was replaced is read as it was, and has another version afterwards', async () => {
    const path = at('media/replaced');
    await writeFile(path, BYTES);
    await link(path, at('media/replaced-old'));
    const file = await files.open(path);
    await writeFile(at('media/new'), 'new');
    await rename(at('media/new'), path);
    const again = await files.open(path);
    assert.notEqual(again.version, file.version);
    await again.close();
    await assert.rejects(buffer(file.read(0, signal)), { category: 'corrupted' }, 'its number of names changed');
  });

  for (const [what, swap] of [
    [
      'the file',
      async () => {
        await rm(at('media/swap/secret'));
        await symlink(at('elsewhere/secret'), at('media/swap/secret'));
      },
    ],
    [
      'its folder',
      async () => {
        await rename(at('media/swap'), at('media/swapped'));
        await symlink(at('elsewhere'), at('media/swap'));
      },
    ],
  ] as const) {
    it(`a link put in the place of ${what} between check and opening leads nowhere`, async () => {
      await mkdir(at('media/swap'));
      await writeFile(at('media/swap/secret'), 'harmless');
      try {
        await assert.rejects(new ServerFiles([at('media')], swap).open(at('media/swap/secret')), {
          code: 'PERMISSION_DENIED',
        });
      } finally {
        await rm(at('media/swap'), { recursive: true });
        await rm(at('media/swapped'), { recursive: true, force: true });
      }
    });
  }

  it('the version stays while nothing happens', async () => {
    const [first, second] = [await files.open(at('media/empty')), await files.open(at('media/empty'))];
    assert.equal(first.version, second.version);
    await Promise.all([first.close(), second.close()]);
  });

  it('reading ends with its signal', async () => {
    const stop = new AbortController();
    const body = (await files.open(at('media/films/a.mkv'))).read(0, stop.signal);
    stop.abort();
    await assert.rejects(buffer(body));
  });
});
