import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { NOTICE_CHARACTERS_MAX } from '../../src/services/notices.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { type Person, registerUser } from '../support/people.ts';
import { ask, openSse, RawSocket } from '../support/transports.ts';

const BROADCAST = `mutation ($input: BroadcastInput!) {
  broadcast(input: $input) {
    __typename
    ... on BroadcastPayload { notice { at message level } }
    ... on InvalidInputError { issues { path } }
  }
}`;
const LISTEN = 'subscription { notice { at message level } }';

describe('notices', () => {
  let app: TestApp;
  let admin: Person;
  let user: Person;
  before(async () => {
    app = await startTestApp();
    admin = await registerUser(app);
    user = await registerUser(app);
  });
  after(() => app.close());

  const broadcast = (input: object, token: string | null) => app.graphql(BROADCAST, { input }, token);

  it('reach everybody who listens, over WebSocket and server-sent events, the same', async () => {
    const socket = await RawSocket.signedIn(app.url, user.token);
    socket.subscribe('1', LISTEN);
    socket.send({ type: 'ping' });
    await socket.message(); // Subscribed before it is answered.
    const events = openSse(app.url, { query: LISTEN, token: admin.token });
    const event = events.next();
    while (!/open 2$/m.test(await (await fetch(`${app.url}/metrics`)).text()));

    const { data } = await broadcast({ message: ' Down at noon. ', level: 'WARNING' }, admin.token);
    const { notice } = data.broadcast;
    assert.deepEqual([notice.message, notice.level], ['Down at noon.', 'WARNING']);
    assert.deepEqual((await socket.message()).payload, { data: { notice } });
    assert.deepEqual((await event).value, { data: { notice } });
    socket.close();
    await events.return(undefined);
  });

  it('are for information when nothing else is said', async () => {
    const { data } = await broadcast({ message: 'Hello.' }, admin.token);
    assert.equal(data.broadcast.notice.level, 'INFO');
  });

  it('are sent by administrators only', async () => {
    const { data } = await broadcast({ message: 'Hello.' }, user.token);
    assert.deepEqual(data.broadcast, { __typename: 'PermissionDeniedError' });
    const { errors } = await broadcast({ message: 'Hello.' }, null);
    assert.equal(errors?.[0]?.extensions?.code, 'UNAUTHENTICATED');
  });

  it('are heard by whoever is signed in only', async () => {
    const [refused] = await ask('sse', app.url, { query: LISTEN });
    assert.equal(refused?.errors?.[0]?.extensions?.code, 'UNAUTHENTICATED');
  });

  it('say something, and not too much', async () => {
    for (const message of ['', '  \n ', 'x'.repeat(NOTICE_CHARACTERS_MAX + 1)]) {
      const { data } = await broadcast({ message }, admin.token);
      assert.deepEqual(data.broadcast, {
        __typename: 'InvalidInputError',
        issues: [{ path: ['input', 'message'] }],
      });
    }
  });

  it('are on record', async () => {
    await broadcast({ message: 'On record.', level: 'ERROR' }, admin.token);
    const rows = await app.app.storage
      .fork()
      .getConnection()
      .execute<{ detail: string; user_id: string }[]>("select * from audit_records where action = 'notice.broadcast'");
    assert.ok(rows.some(({ detail, user_id }) => detail.includes('On record.') && user_id === admin.userId));
  });
});
