import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NAME_BYTES_MAX } from '../../src/lib/names.ts';
import { call, failure, type Subject } from './subject.ts';

const AWKWARD = {
  'spaces within': 'a  b c',
  quotes: `it's "quoted" \`so\``,
  'characters of URLs': 'a#b?c%20d&e+f=g;h@i!',
  'a leading dot': '.hidden',
  'a dot at the end of the stem': 'a..txt',
  'characters of shells and SQL': "$(rm -rf) '; drop table x; -- %_[]{}()~^|*<>:",
  Chinese: '文件 夹（一）.txt',
  Japanese: 'ファイル.txt',
  emoji: '👩‍🚀 🚀.txt',
  'composed accents': 'Été.txt',
  'decomposed accents': 'Noe\u0308l.txt',
  'right-to-left letters': 'ملف.txt',
  'only an extension': '.txt',
  'a number in brackets': 'a (2).txt',
};

const FORBIDDEN = {
  'no name': '',
  'the folder itself': '.',
  'the folder above': '..',
  'look-alike dots': '．．',
  'a slash': 'a/b',
  'the way up': '../up',
  'a backslash': 'a\\b',
  'a NUL': 'a\0b',
  'a line break': 'a\nb',
  'a direction mark': 'a\u202egpj.exe',
  'half a character': 'a\ud800',
  'more bytes than any system takes': '文'.repeat(Math.ceil((NAME_BYTES_MAX + 1) / 3)),
};

/** Names come back as they went in, or are refused. */
export function namesSuite(drive: Subject): void {
  const forbidden = new Set(drive.fixture.forbiddenNames);

  describe('names', () => {
    for (const [what, name] of Object.entries(AWKWARD)) {
      if (forbidden.has(name)) {
        it(`refuses ${what}`, () => refuses(name));
        continue;
      }
      it(`keeps ${what} in a folder's name`, async () => {
        const parent = await drive.newFolder();
        const made = await drive.run('createFolder', parent.ref, name, call);
        await isKept(parent.ref, made.ref, name);
      });
      it(`keeps ${what} in a file's name`, { skip: drive.lacks('UPLOAD') }, async () => {
        const parent = await drive.newFolder();
        const made = await drive.put(parent.ref, name, 'bytes');
        await isKept(parent.ref, made.ref, name);
        assert.equal(String(await drive.content(made.ref)), 'bytes');
      });
    }

    it('keeps the longest name', async () => {
      const parent = await drive.newFolder();
      const name = 'n'.repeat(drive.driver.capabilities.nameBytesMax);
      const made = await drive.run('createFolder', parent.ref, name, call);
      await isKept(parent.ref, made.ref, name);
    });

    for (const [what, name] of Object.entries(FORBIDDEN)) it(`refuses ${what}`, () => refuses(name));

    it('takes two forms of one accented name for one name, or keeps both apart', async () => {
      const parent = await drive.newFolder();
      const composed = await drive.run('createFolder', parent.ref, 'caf\u00e9', call);
      await bothOrTaken(parent.ref, composed.ref, 'cafe\u0301');
    });

    it('compares the case of names as it says', async () => {
      const parent = await drive.newFolder();
      const lower = await drive.run('createFolder', parent.ref, 'case ß ж', call);
      const upper = drive.run('createFolder', parent.ref, 'CASE ß Ж', call);
      if (drive.driver.capabilities.caseSensitive) assert.notEqual((await upper).ref, lower.ref);
      else assert.equal((await failure(upper, 'already_exists')).existingRef, lower.ref);
    });
  });

  async function isKept(parentRef: string, ref: string, name: string): Promise<void> {
    assert.equal((await drive.driver.stat(ref, call)).name, name);
    assert.deepEqual(await drive.names(parentRef), [name]);
    if (!drive.driver.resolve) return;
    const parent = await drive.driver.stat(parentRef, call);
    assert.equal((await drive.run('resolve', [parent.name, name], call)).ref, ref);
  }

  async function refuses(name: string): Promise<void> {
    // Where it is asked before, it answers as the act does.
    const { checkName } = drive.driver.capabilities;
    if (checkName) assert.throws(() => checkName(name), { category: 'invalid_argument' });
    const parent = await drive.newFolder();
    const other = await drive.run('createFolder', parent.ref, 'other', call);
    await failure(drive.run('createFolder', parent.ref, name, call), 'invalid_argument');
    if (!drive.lacks('RENAME')) await failure(drive.run('rename', other.ref, name, {}, call), 'invalid_argument');
    for (const act of ['move', 'copy'] as const) {
      if (!drive.driver[act]) continue;
      const options = { name, onConflict: 'RENAME' } as const;
      await failure(drive.run(act, other.ref, parent.ref, options, call), 'invalid_argument');
    }
    if (drive.driver.upload) {
      const plan = drive.plan(parent.ref, name, Buffer.from('bytes'));
      await failure(drive.run('upload.begin', plan, call), 'invalid_argument');
    }
    assert.deepEqual(await drive.names(parent.ref), ['other']);
  }

  async function bothOrTaken(parentRef: string, ref: string, name: string): Promise<void> {
    const made = await drive.run('createFolder', parentRef, name, call).catch((error: unknown) => error);
    if (made instanceof Error) {
      assert.equal((await failure(Promise.reject(made), 'already_exists')).existingRef, ref);
      return;
    }
    assert.equal((await drive.names(parentRef)).length, 2);
  }
}
