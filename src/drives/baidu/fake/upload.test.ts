import assert from 'node:assert/strict';
import { test } from 'node:test';
import { announce, md5, probe } from './probe.ts';

const MIB = 1024 * 1024;
const PATH = '/apps/demo/新/f.bin';
const SLICES = [Buffer.alloc(4 * MIB, 'a'), Buffer.alloc(4 * MIB, 'b'), Buffer.from('end')];

async function begun(options: Parameters<typeof probe>[0] = {}) {
  const probed = await probe(options);
  const form = announce(PATH, SLICES);
  const { json } = await probed.postFile('precreate', { ...form, autoinit: '1' });
  assert.equal(json.errno, 0, JSON.stringify(json));
  const session = { path: PATH, uploadid: String(json.uploadid) };
  return { ...probed, form, session, answer: json };
}

test('slices in any order become the file, and its bytes come back', async () => {
  const { fake, user, putSlice, postFile, form, session, answer } = await begun();
  await using _ = fake;
  assert.deepEqual(answer.block_list, [0, 1, 2]);
  for (const index of [2, 0, 1]) {
    const { json } = await putSlice(session, index, SLICES[index] ?? Buffer.of());
    assert.equal(json.md5, md5(SLICES[index] ?? Buffer.of()));
    assert.equal('errno' in json, false);
  }
  assert.equal(fake.unfinishedUploads().length, 1);
  const created = await postFile('create', { ...form, uploadid: session.uploadid, local_mtime: '1600000000' });
  assert.equal(created.json.name, PATH);
  assert.notEqual(created.json.mtime, 1_600_000_000);
  assert.equal(fake.entryAt(user, PATH)?.localMtime, 1_600_000_000);
  assert.deepEqual(fake.bytesAt(user, PATH), Buffer.concat(SLICES));
  assert.equal(fake.unfinishedUploads().length, 0);
  assert.deepEqual(fake.violations, []);
});

test('create tells missing slices from a list that does not match', async () => {
  const { fake, putSlice, postFile, form, session } = await begun();
  await using _ = fake;
  const create = (more = {}) => postFile('create', { ...form, uploadid: session.uploadid, ...more });
  assert.equal((await create()).json.errno, 31363);
  for (const [index, slice] of SLICES.entries()) await putSlice(session, index, slice);
  const swapped = JSON.stringify(SLICES.toReversed().map(md5));
  assert.equal((await create({ block_list: swapped })).json.errno, 31190);
  assert.equal((await create({ size: '5' })).json.errno, 31190);
  assert.equal((await create({ uploadid: 'N1-none' })).json.errno, 31355);
  fake.clock.advance(12 * 3_600_000);
  assert.equal((await create()).json.errno, 31363);
});

test('a slice is refused on the wrong host, with a wrong number, size, field or session', async () => {
  const { fake, call, putSlice, session } = await begun();
  await using _ = fake;
  const query = { method: 'upload', type: 'tmpfile', ...session, partseq: '0' };
  const path = '/rest/2.0/pcs/superfile2';
  assert.equal((await call('pan', path, query, { method: 'POST', body: 'x' })).status, 403);
  assert.equal((await putSlice(session, 3, Buffer.from('x'))).json.error_code, 31299);
  assert.equal((await putSlice(session, 0, Buffer.from('x'))).json.error_code, 31299);
  assert.equal((await putSlice(session, 0, Buffer.alloc(4 * MIB + 1))).json.error_code, 31364);
  assert.equal(
    (await putSlice({ ...session, uploadid: 'N1-none' }, 0, SLICES[0] ?? Buffer.of())).json.error_code,
    31355,
  );
  const body = new FormData();
  body.append('data', new Blob(['x']), 'x');
  assert.equal((await call('pcs', path, query, { method: 'POST', body })).json.error_code, 31023);
  const raw = await call('pcs', path, query, {
    method: 'PUT',
    body: new Uint8Array(SLICES[0] ?? []),
    headers: { 'accept-encoding': 'identity' },
  });
  assert.equal(raw.json.md5, md5(SLICES[0] ?? Buffer.of()));
});

test('the answer to a slice is labelled gzip unless identity was asked for', async () => {
  const { fake, call, session } = await begun();
  await using _ = fake;
  const query = { method: 'upload', type: 'tmpfile', ...session, partseq: '2' };
  await assert.rejects(call('pcs', '/rest/2.0/pcs/superfile2', query, { method: 'PUT', body: 'end' }));
});

test('precreate refuses places, names, sizes and lists as the documents say', async () => {
  const { fake, user, postFile, post } = await probe();
  await using _ = fake;
  const precreate = async (path: string, more: Record<string, string> = {}) =>
    (await postFile('precreate', { ...announce(path, [Buffer.from('x')]), autoinit: '1', ...more })).json.errno;
  assert.equal(await precreate('/elsewhere/a'), 31064);
  for (const name of ['a:b', 'a?', ' a', 'a ', '.a', 'a.', '😀', 'a|b', 'x'.repeat(1000)]) {
    assert.equal(await precreate(`/apps/demo/${name}`), 31062, name);
  }
  assert.equal(await precreate('/apps/demo/a', { block_list: '[]' }), 2);
  assert.equal(await precreate('/apps/demo/a', { block_list: `["${'A'.repeat(32)}"]` }), 2);
  assert.equal(await precreate('/apps/demo/a', { size: '0' }), 2);
  assert.equal(await precreate('/apps/demo/a', { size: String(5 * 1024 ** 3) }), 31365);
  assert.equal(await precreate('/apps/demo/a', { size: String(5 * MIB) }), 31364);
  assert.equal(await precreate('/apps/demo/a', { content_md5: 'x' }), 2);
  const misplaced = { method: 'precreate', path: '/apps/demo/a' };
  assert.equal((await post('/rest/2.0/xpan/file', misplaced, { size: '1' })).json.errno, 2);
  user.totalBytes = 0;
  assert.equal(await precreate('/apps/demo/a'), -10);
  fake.settings.scopeErrors = 'gateway';
  assert.equal(await precreate('/elsewhere/a'), 20020);
});

test('a path that was encoded twice becomes a name with percent signs', async () => {
  const { fake, user, postFile } = await probe();
  await using _ = fake;
  await postFile('create', { path: encodeURI('/apps/demo/新'), isdir: '1', rtype: '0' });
  assert.deepEqual(fake.paths(user), ['/apps', '/apps/demo', '/apps/demo/%E6%96%B0']);
});

test('a resumed session names what is missing; a forgotten one is unknown', async () => {
  const { fake, putSlice, postFile, form, session } = await begun();
  await using _ = fake;
  await putSlice(session, 1, SLICES[1] ?? Buffer.of());
  const resume = () => postFile('precreate', { ...form, autoinit: '1', uploadid: session.uploadid });
  assert.deepEqual((await resume()).json.block_list, [0, 2]);
  fake.forgetUploads();
  assert.equal((await resume()).json.errno, 31355);
});

test('known content needs no upload', async () => {
  const { fake, user, postFile } = await probe();
  await using _ = fake;
  const bytes = Buffer.alloc(300_000, 'known');
  fake.seedFile(user, '/apps/demo/first', bytes);
  const hashes = { 'content-md5': md5(bytes), 'slice-md5': md5(bytes.subarray(0, 262_144)) };
  const precreate = (path: string) => postFile('precreate', { ...announce(path, [bytes]), autoinit: '1', ...hashes });
  const hit = await precreate('/apps/demo/second');
  assert.equal(hit.json.return_type, 2);
  assert.equal('uploadid' in hit.json, false);
  assert.deepEqual(fake.bytesAt(user, '/apps/demo/second'), bytes);
  fake.settings.rapidUploads = false;
  const miss = await precreate('/apps/demo/third');
  assert.deepEqual([miss.json.return_type, miss.json.block_list], [1, []]);
});

test('a name that is taken fails, is renamed or is overwritten, by rtype', async () => {
  const { fake, user, postFile, putSlice } = await probe();
  await using _ = fake;
  const bytes = Buffer.from('new');
  const upload = async (rtype: string) => {
    const form = { ...announce('/apps/demo/a.txt', [bytes]), rtype };
    const { json } = await postFile('precreate', { ...form, autoinit: '1' });
    if (json.errno !== 0) return json;
    const session = { path: '/apps/demo/a.txt', uploadid: String(json.uploadid) };
    await putSlice(session, 0, bytes);
    return (await postFile('create', { ...form, uploadid: session.uploadid })).json;
  };
  fake.seedFile(user, '/apps/demo/a.txt', 'old');
  assert.equal((await upload('0')).errno, -8);
  assert.equal((await upload('1')).path, '/apps/demo/a(1).txt');
  assert.equal((await upload('3')).path, '/apps/demo/a.txt');
  assert.equal(String(fake.bytesAt(user, '/apps/demo/a.txt')), 'new');
  assert.equal((await upload('2')).path, '/apps/demo/a.txt');
});

test('a directory that exists is refused with rtype 0 and renamed without', async () => {
  const { fake, postFile } = await probe();
  await using _ = fake;
  const make = (more: Record<string, string>) => postFile('create', { path: '/apps/demo/d', isdir: '1', ...more });
  assert.equal((await make({ rtype: '0' })).json.errno, 0);
  assert.equal((await make({ rtype: '0' })).json.errno, -8);
  assert.equal((await make({})).json.path, '/apps/demo/d(1)');
});

test('a small file goes in one call', async () => {
  const { fake, user, call } = await probe();
  await using _ = fake;
  const send = (ondup: string) =>
    call(
      'pcs',
      '/rest/2.0/pcs/file',
      { method: 'upload', path: '/apps/demo/s', ondup },
      { method: 'PUT', body: 'small' },
    );
  assert.equal((await send('fail')).json.size, 5);
  assert.equal((await send('fail')).json.error_code, 31061);
  assert.equal(String(fake.bytesAt(user, '/apps/demo/s')), 'small');
});

test('uploaded bytes may be measured without being kept', async () => {
  const { fake, user, putSlice, postFile, form, session } = await begun({ keep: 'digests' });
  await using _ = fake;
  for (const [index, slice] of SLICES.entries()) await putSlice(session, index, slice);
  await postFile('create', { ...form, uploadid: session.uploadid });
  assert.deepEqual(fake.digestsAt(user, PATH), { size: 8 * MIB + 3, md5: null, blockMd5s: SLICES.map(md5) });
});
