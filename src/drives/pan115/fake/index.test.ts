import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type Pan115Fake, startPan115Fake } from './index.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

/** What the imitation refuses, by hand: a driver that is right never sees most of it. */
describe("115's imitation", () => {
  let fake: Pan115Fake;
  let user: ReturnType<Pan115Fake['createUser']>;
  let token = '';

  beforeEach(async () => {
    fake = await startPan115Fake({ settings: { requestsPerSecond: Number.POSITIVE_INFINITY } });
    user = fake.createUser();
    token = fake.grant(user).accessToken;
  });
  afterEach(() => fake.close());

  const get = async (path: string, bearer = token): Promise<Answer> =>
    (await fetch(fake.urls.api + path, { headers: { authorization: `Bearer ${bearer}` } })).json();
  const post = async (path: string, form: Record<string, string>, url = fake.urls.api): Promise<Answer> => {
    const authorization: Record<string, string> = url === fake.urls.api ? { authorization: `Bearer ${token}` } : {};
    return (
      await fetch(url + path, { method: 'POST', headers: authorization, body: new URLSearchParams(form) })
    ).json();
  };
  const passport = (path: string, form: Record<string, string>) => post(path, form, fake.urls.passport);

  it('tells its state as a boolean on one host and as a number on the other, with a list for nothing', async () => {
    assert.deepEqual(await get('/open/user/info', 'at.none'), {
      state: false,
      message: 'access_token 格式错误',
      code: 40140123,
      data: [],
    });
    const { state, data, errno } = await passport('/open/authDeviceCode', { client_id: 'x' });
    assert.deepEqual([state, data, errno], [0, [], 40140100]);
    assert.equal((await get('/open/user/info')).state, true);
  });

  for (const [what, ask, code] of [
    ['a parameter that no document names', () => get('/open/ufile/files?cid=0&dir=1'), 990002],
    ['a parameter twice', () => get('/open/ufile/files?cid=0&cid=0'), 990002],
    ['an empty parameter', () => get('/open/ufile/files?cid='), 990002],
    ['a parameter in the wrong place', () => post('/open/folder/add?pid=0', { file_name: 'x' }), 990002],
    [
      'the misspelling of a popular client',
      () => post('/open/ufile/copy', { pid: '0', file_id: '1', no_dupli: '1' }),
      990002,
    ],
    ['a path that is an invention', () => post('/open/folder/move', { x: '1' }), 980006],
    ['another verb', () => get('/open/ufile/downurl?pick_code=x'), 980006],
    [
      'a hash in lower case',
      () => post('/open/upload/init', { file_name: 'x', file_size: '1', target: 'U_1_0', fileid: 'a'.repeat(40) }),
      990002,
    ],
    [
      'a target of another form',
      () => post('/open/upload/init', { file_name: 'x', file_size: '1', target: '0', fileid: 'A'.repeat(40) }),
      402,
    ],
    ['the root by its facts', () => get('/open/folder/get_info?file_id=0'), 990002],
    [
      '116 links',
      () => post('/open/offline/add_task_urls', { urls: Array(116).fill('https://x.example/').join('\n') }),
      1000011,
    ],
  ] as const) {
    it(`refuses ${what}, and remembers it`, async () => {
      const answer = await ask();
      assert.deepEqual([answer.state, answer.code], [false, code]);
      assert.equal(fake.violations.length, 1, fake.violations.join());
    });
  }

  it('refuses JSON, and takes both kinds of form', async () => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const url = `${fake.urls.api}/open/folder/add`;
    const json = await fetch(url, { method: 'POST', headers, body: '{"pid":"0","file_name":"x"}' });
    assert.equal(((await json.json()) as Answer).state, false);
    const form = new FormData();
    form.set('pid', '0');
    form.set('file_name', 'multipart');
    const multipart = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: form });
    assert.equal(((await multipart.json()) as Answer).state, true);
    assert.equal((await post('/open/folder/add', { pid: '0', file_name: 'urlencoded' })).state, true);
  });

  it('answers a page that is too large, and too many requests, with nothing', async () => {
    const nothing = { state: false, message: '', code: 0, data: [] };
    assert.deepEqual(await get('/open/ufile/files?limit=1151'), nothing);
    fake.settings.requestsPerSecond = 3;
    const answers = await Promise.all(Array.from({ length: 8 }, () => get('/open/user/info')));
    assert.ok(answers.some((answer) => JSON.stringify(answer) === JSON.stringify(nothing)));
    assert.ok(answers.some(({ code }) => code === 770004));
  });

  it('lists the root in the place of a folder that is not there, and ids as numbers beyond 2⁵³', async () => {
    fake.seedFile(user, '/a/b.txt', 'x');
    const missing = await get('/open/ufile/files?cid=3999999999999999999&show_dir=1');
    assert.deepEqual([missing.state, missing.cid, missing.data[0].fn], [true, 0, 'a']);
    const id = fake.entryAt(user, '/a')?.id ?? '';
    const text = await (
      await fetch(`${fake.urls.api}/open/ufile/files?cid=${id}`, { headers: { authorization: `Bearer ${token}` } })
    ).text();
    assert.match(text, new RegExp(`"cid":${id}[,}]`));
    const [file] = (await get('/open/ufile/files?cid=0')).data;
    assert.equal(file.fn, 'b.txt', 'without show_dir it has files of folders below');
  });

  it('rotates both tokens, punishes haste, and kills what is tried again and again', async () => {
    const { refreshToken } = fake.grant(user);
    const refresh = (refresh_token: string) => passport('/open/refreshToken', { refresh_token });
    const first = await refresh(refreshToken);
    assert.equal(first.data.expires_in, 7200);
    assert.equal((await refresh(first.data.refresh_token)).code, 40140117);
    assert.deepEqual(
      [(await refresh(refreshToken)).code, (await refresh(refreshToken)).code, (await refresh(refreshToken)).code],
      [40140120, 40140120, 40140120],
    );
    assert.equal((await refresh(refreshToken)).code, 40140137);
    fake.clock.advance(60_001);
    assert.equal((await refresh(first.data.refresh_token)).state, 1);
  });

  it('keeps three authorizations of an account, the newest ones', async () => {
    for (let count = 0; count < 3; count += 1) fake.grant(user);
    assert.equal((await get('/open/user/info')).code, 40140125);
  });

  it('checks the proof of a code by the hash that was named', async () => {
    const verifier = 'v'.repeat(43);
    for (const [method, encoding] of [
      ['sha256', 'base64url'],
      ['md5', 'base64'],
    ] as const) {
      const { uid } = (
        await passport('/open/authDeviceCode', {
          client_id: fake.app.clientId,
          code_challenge: createHash(method).update(verifier).digest(encoding),
          code_challenge_method: method,
        })
      ).data;
      fake.devices.approve(user);
      assert.equal((await passport('/open/deviceCodeToToken', { uid, code_verifier: 'w'.repeat(43) })).code, 40140113);
      assert.equal((await passport('/open/deviceCodeToToken', { uid, code_verifier: verifier })).state, 1);
    }
    const wrong = { client_id: fake.app.clientId, code_challenge: 'x', code_challenge_method: 'S256' };
    assert.equal((await passport('/open/authDeviceCode', wrong)).code, 40140102);
  });

  it('refuses a change while another one is under way', async () => {
    const refs = [1, 2].map((index) => fake.seedFile(user, `/${index}`, 'x').id);
    const answers = await Promise.all(refs.map((id) => post('/open/ufile/delete', { file_ids: id })));
    assert.deepEqual(answers.map(({ code }) => Number(code)).toSorted(), [0, 990009]);
  });

  it('empties the bin when it is told no id', async () => {
    fake.seedFile(user, '/a', 'x');
    fake.removeEntry(user, '/a');
    assert.deepEqual(fake.recycled(user), ['a']);
    await post('/open/rb/del', {});
    assert.deepEqual(fake.recycled(user), []);
  });

  it('gives bytes to the program that asked, at most twice at a time, and to no other', async () => {
    // More than the sockets take while nobody reads.
    const size = 24_000_000;
    const { pickCode, id } = fake.seedFile(user, '/a', Buffer.alloc(size));
    const headers = { authorization: `Bearer ${token}`, 'user-agent': 'one' };
    const body = new URLSearchParams({ pick_code: pickCode });
    const answer = await fetch(`${fake.urls.api}/open/ufile/downurl`, { method: 'POST', headers, body });
    const { url } = ((await answer.json()) as Answer).data[id].url;
    const by = (agent: string) => fetch(url, { headers: { 'user-agent': agent } });
    assert.equal((await by('two')).status, 403);
    const open = await Promise.all([by('one'), by('one')]);
    assert.deepEqual(
      open.map(({ status }) => status),
      [200, 200],
    );
    assert.equal((await by('one')).status, 403);
    await Promise.all(open.map((response) => response.arrayBuffer()));
    const part = await fetch(url, { headers: { 'user-agent': 'one', range: 'bytes=5-9' } });
    assert.deepEqual([part.status, part.headers.get('content-range')], [206, `bytes 5-9/${size}`]);
  });

  it('takes nothing into its storage without a signature', async () => {
    const response = await fetch(`${fake.urls.oss}/x?uploads`, { method: 'POST' });
    assert.equal(response.status, 403);
    assert.match(await response.text(), /<Code>SecondLevelDomainForbidden<\/Code>/);
  });
});
