import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../demo/main.ts', import.meta.url));
const FILE = fileURLToPath(new URL('../schema.graphql', import.meta.url));

describe('the demo', () => {
  let temporary: string;

  before(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'panql-demo-test-'));
  });
  after(() => rm(temporary, { recursive: true, force: true }));

  it('sends a file of its own the whole way, and leaves nothing behind', async () => {
    const { output, ended } = run(['--mib', '9']);
    assert.equal(await ended, 0, output());
    assert.equal(output().match(/by (ticket|link): equal$/gm)?.length, 2, output());
    assert.match(output(), /100 %/);
    assert.match(output(), /INSTANT/);
    assert.deepEqual(await readdir(temporary), []);
  });

  it('goes the same way through each cloud, linked by a code whose states it shows', async () => {
    const { output, ended } = run(['--mib', '9']);
    assert.equal(await ended, 0, output());
    const [, cloud = ''] = output().split('Baidu Netdisk, an imitation of it\n');
    const [link = '', after = ''] = cloud.split('linked ');
    assert.match(link, /^sign-in +by the code \w+, or its QR code\n +PENDING; Ada confirms it\n +APPROVED\n$/);
    assert.match(after, /^upload +100 % {2}9\.0 MiB of 9\.0 MiB /m);
    assert.match(after, /SLICED$/m);
    assert.match(after, /^list .*Welcome\.txt \(49 B\).*demo\.bin \(9\.0 MiB\)$/m);
    assert.match(after, /^sha-256 +[0-9a-f]{64} {2}from the cloud: equal$/m);
    const [, scanned = ''] = output().split('115, an imitation of it\n');
    assert.match(scanned, /^sign-in +by a QR code\n +PENDING; Mei scans it\n +SCANNED; Mei confirms it\n +APPROVED\n/);
    assert.match(scanned, /^sha-256 +[0-9a-f]{64} {2}from the cloud: equal$/m);
    const [, typed = ''] = output().split('123pan, an imitation of it\n');
    assert.match(typed, /^linked +the account "Lin"/);
    assert.match(typed, /^sha-256 +[0-9a-f]{64} {2}from the cloud: equal$/m);
    const [, around = ''] = output().split('One file across all drives\n');
    const routes = [...around.matchAll(/^copy +(.+): ([A-Z_]+) in /gm)].map(([, way, route]) => `${way} ${route}`);
    assert.deepEqual(routes, [
      'the built-in drive → Baidu Netdisk INSTANT',
      'Baidu Netdisk → 115 INSTANT',
      '115 → 123pan INSTANT',
      '123pan → Netdisk server STREAMED',
      'Netdisk server → the built-in drive STREAMED',
      'Baidu Netdisk → Baidu Netdisk SERVER_SIDE',
    ]);
    assert.match(around, /^sha-256 +[0-9a-f]{64} {2}after 5 drives: equal$/m);
    assert.doesNotMatch(output(), /Warning/);
  });

  it('keeps the server when asked, until it is interrupted', async () => {
    const { child, output, ended, said } = run([FILE, '--keep', '--local']);
    await said('Ctrl-C');
    const url = /^GraphiQL +(\S+)/m.exec(output())?.[1] ?? assert.fail(output());
    const authorization = /"Authorization": "(Bearer \S+)"/.exec(output())?.[1] ?? assert.fail(output());
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization },
      body: JSON.stringify({ query: '{ viewer { username } }' }),
    });
    assert.deepEqual(await answer.json(), { data: { viewer: { username: 'demo' } } });
    child.kill('SIGINT');
    assert.equal(await ended, 0, output());
    await assert.rejects(fetch(url), 'the server has ended');
    assert.deepEqual(await readdir(temporary), []);
  });

  it('cleans up when it is interrupted in the middle', async () => {
    const { child, output, ended, said } = run(['--mib', '256']);
    await said('register', () => child.kill('SIGINT'));
    assert.equal(await ended, 130, output());
    assert.match(output(), /Stopped\./);
    assert.deepEqual(await readdir(temporary), []);
  });

  it('says what is wrong with what it was given', async () => {
    const missing = run(['/nowhere/at-all']);
    assert.equal(await missing.ended, 1);
    assert.match(missing.output(), /Failed: There is no file at \/nowhere\/at-all\./);
    const folder = run([temporary]);
    assert.equal(await folder.ended, 1);
    assert.match(folder.output(), /is not a file/);
    assert.equal(await run(['--mib', 'many']).ended, 2);
  });

  function run(args: readonly string[]) {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      env: { ...process.env, TMPDIR: temporary },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
    }
    // `close` comes when all output has been read.
    const ended = once(child, 'close').then(([code]: (number | null)[]) => code);
    /** Resolves when it has said so; `act` is done at that moment, before it can say more. */
    const said = async (word: string, act = (): unknown => undefined): Promise<void> => {
      while (!text.includes(word)) {
        const over = await Promise.race([once(child.stdout, 'data').then(() => false), ended.then(() => true)]);
        if (over) assert.fail(`it ended without saying "${word}": ${text}`);
      }
      act();
    };
    return { child, ended, said, output: () => text };
  }
});
