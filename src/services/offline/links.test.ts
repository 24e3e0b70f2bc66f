import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OFFLINE_SCHEMES, type OfflineScheme } from '../../drives/contract/offline.ts';
import { checkedLink, keysOfTask, linkKey, nameOfLink, OFFLINE_LINK_MAX } from './links.ts';

const HASH = '0123456789abcdef0123456789abcdef01234567';
/** The same 20 bytes. */
const HASH_BASE32 = 'aerukz4jvpg66ajdivtytk6n54asgrlh';

const check = (url: string, takes: readonly OfflineScheme[] = OFFLINE_SCHEMES) =>
  checkedLink(url, takes, 'input.urls.3');

describe('links of offline tasks', () => {
  it('are taken in each of the kinds, as they are', () => {
    for (const url of [
      'http://files.example/a%20b.iso?x=1#y',
      'HTTPS://files.example/',
      'ftp://user:pass@files.example/a',
      `magnet:?xt=urn:btih:${HASH}&dn=x`,
      `magnet:?dn=x&xt.1=urn:btih:${HASH}`,
      'ed2k://|file|a name.iso|1234|31D6CFE0D16AE931B73C59D7E0C089C0|/',
    ]) {
      assert.deepEqual(check(`  ${url} `), { url });
    }
  });

  it('of another kind, or of none, are refused, naming their place', () => {
    for (const url of [
      '',
      ' ',
      'file:///etc/passwd',
      'javascript:alert(1)',
      'thunder://abc',
      'files.example/a',
      'http://',
      'http:///a',
      'magnet:?dn=x',
      'ed2k://|server|1.2.3.4|',
      'ed2k://|file|a|1|short|/',
      'http://files.example/a\nhttp://files.example/b',
      'http://files.example/\u2028b',
      'http://files.example/\0',
      'http://files.example/\ud800',
      `http://files.example/${'a'.repeat(OFFLINE_LINK_MAX)}`,
    ]) {
      const checked = check(url);
      assert.ok('error' in checked && checked.error.code === 'INVALID_INPUT', JSON.stringify(url));
      assert.deepEqual(Reflect.get(checked.error, 'issues')[0].path, ['input', 'urls', '3']);
    }
  });

  it('that the provider does not take are unsupported', () => {
    const checked = check(`magnet:?xt=urn:btih:${HASH}`, ['http', 'https']);
    assert.ok('error' in checked && checked.error.code === 'UNSUPPORTED');
    assert.match(checked.error.message, /magnet.*http, https/);
  });

  it('give their task a name', () => {
    for (const [url, name] of [
      ['https://files.example/dir/a%20b.iso?x=1', 'a b.iso'],
      ['https://files.example/100%', '100%'],
      ['https://files.example/', 'files.example'],
      [`magnet:?xt=urn:btih:${HASH}&dn=A+film`, 'A film'],
      [`magnet:?xt=urn:btih:${HASH}`, HASH],
      ['ed2k://|file|a%20name.iso|1|31d6cfe0d16ae931b73c59d7e0c089c0|/', 'a name.iso'],
      ['https://files.example/%00x', ' x'],
    ] as const) {
      assert.equal(nameOfLink(url), name, url);
    }
    assert.equal(nameOfLink(`https://files.example/${'a'.repeat(1000)}`).length, 255);
  });

  it('are the same when they mean the same torrent', () => {
    const key = linkKey(`magnet:?xt=urn:btih:${HASH.toUpperCase()}&tr=http%3A%2F%2Ft.example`);
    assert.equal(linkKey(`magnet:?dn=x&xt=urn:btih:${HASH_BASE32.toUpperCase()}`), key);
    assert.deepEqual(keysOfTask({ ref: HASH.toUpperCase(), url: null }), [key]);
    assert.notEqual(linkKey('https://files.example/a'), linkKey('https://files.example/A'));
    assert.deepEqual(keysOfTask({ ref: '17', url: 'https://files.example/a' }), ['https://files.example/a']);
  });
});
