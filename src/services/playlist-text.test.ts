import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isPlaylist, withAddresses } from './playlist-text.ts';

const BASE = 'https://media.example/films/one/index.m3u8?sign=1';

const replaced = (text: string): string => withAddresses(text, BASE, (url, target) => `<${target} ${url}>`);

describe('the addresses in a playlist', () => {
  it('are replaced, relative ones made absolute before', () => {
    assert.equal(
      replaced('#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\na.ts?x=1&y=2\n#EXTINF:10,\n/b.ts\r\n#EXT-X-ENDLIST\n'),
      '#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n<part https://media.example/films/one/a.ts?x=1&y=2>\n' +
        '#EXTINF:10,\n<part https://media.example/b.ts>\n#EXT-X-ENDLIST\n',
    );
  });

  it('are known as further playlists after their tags', () => {
    assert.equal(
      replaced('#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXTINF:1,\nhttps://other.example/c.ts'),
      '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n<playlist https://media.example/films/one/low.m3u8>\n' +
        '#EXTINF:1,\n<part https://other.example/c.ts>',
    );
    assert.equal(
      replaced('#EXT-X-MEDIA:TYPE=SUBTITLES,URI="/zh.srt"'),
      '#EXT-X-MEDIA:TYPE=SUBTITLES,URI="<part https://media.example/zh.srt>"',
    );
    assert.equal(
      replaced('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="de.m3u8",NAME="Deutsch"'),
      '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="<playlist https://media.example/films/one/de.m3u8>",NAME="Deutsch"',
    );
  });

  it('are found in tags: keys, and the beginning of segments', () => {
    assert.equal(
      replaced('#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x1\n#EXT-X-MAP:URI="init.mp4",BYTERANGE="1@0"'),
      '#EXT-X-KEY:METHOD=AES-128,URI="<part https://media.example/films/one/key>",IV=0x1\n' +
        '#EXT-X-MAP:URI="<part https://media.example/films/one/init.mp4>",BYTERANGE="1@0"',
    );
  });

  it('stay where they are none of HTTP, and so do comments', () => {
    for (const text of ['#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://key"', '# see URI="x"', '#EXTM3U', '', 'data:,x']) {
      assert.equal(replaced(text), text);
    }
  });
});

it('a playlist is known by its first line', () => {
  assert.ok(isPlaylist('#EXTM3U\n'));
  assert.ok(isPlaylist('\ufeff#EXTM3U\n'));
  for (const text of ['', '<html>', '{"errno":133}', ' #EXTM3U']) assert.ok(!isPlaylist(text));
});
