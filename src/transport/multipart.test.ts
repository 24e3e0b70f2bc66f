import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { startLoopback } from '../../test/support/loopback.ts';
import { requestFor, testOutbound } from '../../test/support/outbound.ts';
import { type MultipartSection, multipartBody } from './multipart.ts';

const SECTIONS: readonly MultipartSection[] = [
  { name: 'preuploadID', value: 'id 文 &=' },
  { name: 'slice', filename: '文 "件"\r\nX: y.bin', bytes: new Uint8Array([0, 13, 10, 255]) },
  {
    name: 'file',
    filename: 'b',
    contentType: 'image/png',
    length: 5,
    open: () => Readable.from([Buffer.from('abc'), Buffer.from('de')]),
  },
  { name: 'empty', filename: 'e', bytes: new Uint8Array() },
];

test('the length told is the length written, each time it is opened', async () => {
  const body = multipartBody(SECTIONS);
  const first = await buffer(body.open());
  assert.equal(first.length, body.length);
  assert.deepEqual(await buffer(body.open()), first);
  assert.equal((await buffer(multipartBody([]).open())).length, multipartBody([]).length);
});

test('a parser of forms reads what was put in, and a name cannot add a header', async () => {
  const { contentType, open } = multipartBody(SECTIONS);
  const form = await new Response(await buffer(open()), { headers: { 'content-type': contentType } }).formData();
  assert.deepEqual([...form.keys()], ['preuploadID', 'slice', 'file', 'empty']);
  assert.equal(form.get('preuploadID'), 'id 文 &=');
  const [slice, file, empty] = ['slice', 'file', 'empty'].map((name) => form.get(name));
  assert.ok(slice instanceof File && file instanceof File && empty instanceof File);
  assert.deepEqual([slice.name, slice.type], ['文 "件"\r\nX: y.bin', 'application/octet-stream']);
  assert.deepEqual(new Uint8Array(await slice.arrayBuffer()), new Uint8Array([0, 13, 10, 255]));
  assert.deepEqual([file.name, file.type, await file.text()], ['b', 'image/png', 'abcde']);
  assert.equal(empty.size, 0);
});

test('a slice is sent with its length, again after a failure, and never chunked', async () => {
  let tries = 0;
  await using server = await startLoopback((_request, response) => {
    tries += 1;
    response.writeHead(tries === 1 ? 503 : 200).end('{}');
  });
  await using http = testOutbound();
  await http.transport().send(requestFor(server.url, { method: 'POST', body: { multipart: SECTIONS } }));
  assert.equal(server.requests.length, 2);
  for (const { headers, body } of server.requests) {
    assert.equal(headers['content-length'], String(body.length));
    assert.equal(headers['transfer-encoding'], undefined);
    assert.match(headers['content-type'] ?? '', /^multipart\/form-data; boundary=[\w-]{1,70}$/);
  }
});

test('a file section of another length than told is corrupted', async () => {
  await using server = await startLoopback((_request, response) => response.end('{}'));
  await using http = testOutbound();
  for (const length of [4, 6]) {
    const sections = [{ name: 'file', filename: 'f', length, open: () => Readable.from([Buffer.from('abcde')]) }];
    const sending = http.transport().send(requestFor(server.url, { method: 'POST', body: { multipart: sections } }));
    await assert.rejects(sending, { category: 'corrupted' });
  }
  assert.equal(server.requests.length, 0);
});
