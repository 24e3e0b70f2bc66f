import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startTestApp, type TestApp } from './support/app.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

describe('the example client', () => {
  let app: TestApp;
  before(async () => {
    app = await startTestApp();
  });
  after(() => app.close());

  it('compiles with the generated types, under strict rules', () => {
    try {
      execFileSync('node_modules/.bin/tsc', ['-p', 'test/client-example'], { cwd: ROOT, encoding: 'utf8' });
    } catch (error) {
      assert.fail((error as { stdout: string }).stdout);
    }
  });

  it('registers, uploads, watches, and lists what it uploaded', async () => {
    // Not known to this project's type check: it has one of its own, as an app has.
    const example = await import(new URL('client-example/app.ts', import.meta.url).href);
    const client = await example.register(`${app.url}/graphql`, 'dora', 'a long enough password');
    const [drive] = await example.drivesOf(client);
    assert.equal(drive.provider, 'LOCAL');
    const transfer = await example.upload(client, drive.root.id, 'hello.txt', Buffer.from('Hello, cloud!'));
    const states: string[] = [];
    const done = await example.watch(client, transfer.id, ({ state }: { state: string }) => states.push(state));
    assert.deepEqual([done.state, done.bytesDone, done.entry.name], ['SUCCEEDED', 13, 'hello.txt']);
    assert.equal(states.at(-1), 'SUCCEEDED');
    const names: string[] = [];
    for await (const name of example.namesIn(client, drive.root.id)) names.push(name);
    assert.deepEqual(names, ['hello.txt']);
  });

  it('tells what is wrong with the input', async () => {
    const example = await import(new URL('client-example/app.ts', import.meta.url).href);
    await assert.rejects(example.register(`${app.url}/graphql`, 'x', 'y'), /input\.username|input\.password/);
  });
});
