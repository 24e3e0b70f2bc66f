import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openPan123Fixture, type Pan123Fixture } from '../../../test/conformance/fixtures/pan123.ts';
import { call, everyItem, failure, Subject } from '../../../test/conformance/subject.ts';

describe('123pan, where its documents leave room,', { timeout: 60_000 }, () => {
  let pan: Pan123Fixture;
  let subject: Subject;

  beforeEach(async () => {
    pan = await openPan123Fixture();
    subject = new Subject(pan);
  });
  afterEach(() => pan.close());

  const refOf = (path: string): string => String(pan.fake.entryAt(pan.user, path)?.id ?? '');
  const seed = (path: string, content: string | number = 'content'): string =>
    String(pan.fake.seedFile(pan.user, path, content).id);

  it('ends where an empty page says so, in lists, searches and lookups', async () => {
    pan.fake.settings.listEnd = 'empty';
    const folder = pan.fake.seedFolder(pan.user, '/three');
    for (const name of ['a', 'b', 'c']) pan.fake.newFolder(pan.user, folder, name);
    const entries = await everyItem((page) => subject.run('list', String(folder.id), {}, page, call), 2);
    assert.equal(entries.length, 3);
    const found = await everyItem((page) => subject.run('searchByName', { query: 'three' }, page, call), 1);
    assert.equal(found.length, 1);
    await subject.run('createFolder', String(folder.id), 'd', call);
    const error = await failure(subject.run('createFolder', String(folder.id), 'd', call), 'already_exists');
    assert.equal(error.existingRef, refOf('/three/d'));
  });

  it('reads a time that comes as a number', async () => {
    pan.fake.settings.infosTime = 'number';
    const { modifiedAt } = await subject.run('stat', seed('/a.txt'), call);
    assert.ok(Math.abs((modifiedAt?.getTime() ?? 0) - Date.now()) < 3_600_000, String(modifiedAt));
  });

  it('looks whether the copy is whole where its task cannot be asked about', async () => {
    pan.fake.settings.copyProcess = 'refused';
    seed('/from/deep/a.txt', 'the bytes');
    const to = await subject.newFolder();
    const copy = await subject.run('copy', refOf('/from'), to.ref, { onConflict: 'FAIL' }, call);
    assert.equal(copy.parentRef, to.ref);
    assert.equal(String(pan.fake.bytesAt(pan.user, `/${to.name}/from/deep/a.txt`)), 'the bytes');
  });
  it('plays films by whichever call tells where', async () => {
    const ref = seed('/Holiday.mp4', 5000);
    await subject.run('media.transcode', ref, '720P', call);
    for (let looks = 0; looks < 2; looks += 1) await subject.run('media.versions', ref, call);
    for (const filmLinks of ['record', 'result', 'none'] as const) {
      pan.fake.settings.filmLinks = filmLinks;
      const { state } = await subject.run('media.openPlaylist', ref, '720P', call);
      const { text, url } = await subject.run('media.readPlaylist', state, call);
      assert.match(text, /^#EXTM3U/);
      const segment = new URL('segment-0.ts', url).href;
      const { bytes } = await subject.run('media.readPart', segment, null, call);
      assert.match(String(Buffer.concat(await bytes.toArray())), /^bytes of \/hls\//);
    }
    const asked = pan.fake.requests.filter(({ path }) => path === '/api/v1/transcode/m3u8_ts/download');
    assert.deepEqual(
      asked.map(({ json }) => Object.keys(Object(json))),
      [
        ['fileId', 'resolution', 'type'],
        ['fileId', 'resolution', 'type'],
        ['fileId', 'resolution', 'type', 'tsName'],
      ],
      'to open, to read, and for the segment',
    );
    const elsewhere = new URL('../9/1080P/x.key', 'https://segments.123pan.invalid/1/720P/playlist.m3u8').href;
    await failure(subject.run('media.readPart', elsewhere, null, call), 'not_found');
    pan.fake.settings.transcodeFull = true;
    const error = await failure(subject.run('media.openPlaylist', ref, '720P', call), 'quota_exceeded');
    assert.match(error.hint ?? '', /Delete versions/);
  });

  it('says with each call of its own that it speaks JSON, questions too', async () => {
    await subject.run('stat', seed('/a.txt'), call);
    await subject.names('0');
    await subject.run('profile', call);
    for (const { headers, path } of pan.fake.requests) {
      assert.match(String(headers['content-type']), /^application\/json/, path);
    }
  });

  it('takes the first version of uploads where accounts of an application may not use the second', async () => {
    const other = await openPan123Fixture({ kind: 'oauth' });
    try {
      const drive = new Subject(other);
      const refusal = {
        kind: 'code',
        code: 403,
        message: '无权限',
        match: { path: '/upload/v2/file/create' },
      } as const;
      other.fake.faults.inject({ ...refusal, times: 99 });
      await drive.put('0', 'a.bin', 'the bytes');
      assert.equal(String(other.fake.bytesAt(other.user, '/a.bin')), 'the bytes');
      assert.equal(other.fake.count('/upload/v1/file/create'), 1);
    } finally {
      await other.close();
    }
    pan.fake.faults.inject({ kind: 'code', code: 403, message: '无权限', match: { path: '/upload/v2/file/create' } });
    await failure(subject.put('0', 'a.bin', 'the bytes'), 'permission_denied');
    assert.equal(pan.fake.count('/upload/v1/file/create'), 0);
  });

  it('looks what has the name when a change fails by the code that means anything', async () => {
    const [one, there] = [seed('/1.txt'), seed('/there.txt')];
    const any = { kind: 'code', code: 1, message: '服务异常', times: 99 } as const;
    pan.fake.faults.inject({ ...any, match: { path: '/api/v1/file/name' } });
    const taken = await failure(subject.run('rename', one, 'there.txt', {}, call), 'already_exists');
    assert.equal(taken.existingRef, there);
    await failure(subject.run('rename', one, 'free.txt', {}, call), 'unavailable');
    pan.fake.faults.inject({ ...any, match: { path: '/upload/v1/file/mkdir' } });
    const folder = await failure(subject.run('createFolder', '0', 'there.txt', call), 'already_exists');
    assert.equal(folder.existingRef, there);
    pan.fake.faults.clear();

    pan.fake.faults.inject({ kind: 'cut', phase: 'after', match: { path: '/api/v1/file/name' } });
    pan.fake.faults.inject({ ...any, match: { path: '/api/v1/file/name' } });
    assert.equal((await subject.run('rename', one, 'new.txt', {}, call)).name, 'new.txt', 'the first try gave it');
    pan.fake.faults.clear();
  });

  it('asks once more what only asks, when a code of no table comes back', async () => {
    const ref = seed('/a.txt');
    const unknown = { kind: 'code', code: 7777, message: '?' } as const;
    pan.fake.faults.inject({ ...unknown, match: { path: '/api/v1/file/infos' } });
    assert.equal((await subject.run('stat', ref, call)).name, 'a.txt');
    pan.fake.faults.inject({ ...unknown, match: { path: '/api/v1/file/name' } });
    await failure(subject.run('rename', ref, 'b.txt', {}, call), 'unexpected');
    assert.equal(pan.fake.count('/api/v1/file/name'), 1);
  });

  it('brings a film by the other form of the list, however the first one is refused', async () => {
    pan.fake.settings.fromDisk = 'wrapped';
    const path = '/api/v1/transcode/upload/from_cloud_disk';
    for (const code of [1, 7777]) {
      const ref = seed(`/${code}.mp4`, code + 5000);
      pan.fake.faults.inject({ kind: 'code', code, message: '参数错误', match: { path } });
      await subject.run('media.transcode', ref, '720P', call);
    }
    assert.equal(pan.fake.count(path), 4);
    assert.equal(pan.fake.transcoding.films(pan.user).length, 2);
  });
});
