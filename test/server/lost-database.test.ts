import assert from 'node:assert/strict';
import { test } from 'node:test';
import { local } from '../../src/drives/local/drive.ts';
import { encodeEntryId } from '../../src/graph/ids.ts';
import { LEASE_MS } from '../../src/transfers/store.ts';
import { startTestApp } from '../support/app.ts';
import { byteDrive } from '../support/byte-drive.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { linkAccount } from '../support/memory-drive.ts';
import { registerUser } from '../support/people.ts';
import { createTestDatabase, skipReason } from '../support/services.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { settled } from '../support/uploads.ts';

const COPY = `mutation ($input: CopyEntriesInput!) { copyEntries(input: $input) {
  ... on CopyEntriesPayload { results { transfer { id } error { message } } } } }`;

test('a database that is lost in the middle of a transfer, and comes back, costs no more than time', {
  skip: await skipReason('PostgreSQL'),
}, async (t) => {
  const database = await createTestDatabase();
  const proxy = await startTcpProxy(database.url);
  const clock = new ManualClock();
  const drive = byteDrive();
  const app = await startTestApp({
    settings: { DATABASE_URL: proxy.url },
    drives: [local, drive.definition],
    clock,
  });
  t.after(async () => {
    await app.close();
    await proxy.close();
    await database.drop();
  });
  const person = await registerUser(app);
  const from = (await linkAccount(app, person.userId)).id;
  const to = (await linkAccount(app, person.userId)).id;
  const ref = drive.account(from).put('note.txt', 'hello');
  const reached = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  drive.behaviour.before = (act) => {
    if (act !== 'upload.putSlice') return undefined;
    drive.behaviour.before = () => undefined;
    reached.resolve();
    return held.promise;
  };
  const input = {
    entries: [{ id: encodeEntryId('FILE', from, ref) }],
    destination: { id: encodeEntryId('FOLDER', to, 'root') },
  };
  const { data } = await app.graphql(COPY, { input }, person.token);
  const { id } = data.copyEntries.results[0].transfer;
  await reached.promise;
  await proxy.cut();
  held.resolve();
  while (!app.logLines.some((line) => line.includes('the end of a transfer cannot be stored'))) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await proxy.restore();
  clock.advance(LEASE_MS + 1_000);
  const row = await settled(app, person, id);
  assert.deepEqual([row.state, row.attempts], ['SUCCEEDED', 2]);
  assert.deepEqual(drive.account(to).tree(), { '/note.txt': 'hello' });
});
