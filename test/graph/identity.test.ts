import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestApp, type TestApp } from '../support/app.ts';
import { registerUser } from '../support/people.ts';

let server: TestApp;
before(async () => {
  server = await startTestApp();
});
after(async () => {
  for (const l of server.logLines) if (l.includes('"level":50')) console.log(l);
  await server.close();
});

test('a registered user is signed in', async () => {
  const ada = await registerUser(server, 'ada');
  const { data } = await server.graphql('{ viewer { username role displayName } }', {}, ada.token);
  assert.deepEqual(data?.viewer, { username: 'ada', role: 'ADMIN', displayName: 'ada' });
});
