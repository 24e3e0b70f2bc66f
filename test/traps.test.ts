import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openEventBus } from '../src/events/open.ts';
import { createLog } from '../src/lib/log.ts';
import { Secret } from '../src/lib/secret.ts';
import { AuditRecord } from '../src/storage/entities/operations.ts';
import { openStorage } from '../src/storage/orm.ts';
import { temporaryFolder } from './support/process.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const log = createLog({ level: 'silent' });

/** What the stack does to whoever takes its defaults, and the test that holds each. Those without a file are below. */
const HELD_ELSEWHERE: readonly (readonly [string, string, string])[] = [
  ['graphql 17 with its family passes every audit', 'test/server/audits.test.ts', 'serverAudits('],
  ['errors of a second graphql are masked', 'test/imports.test.ts', 'there is one graphql at run time'],
  ['packages that check by another graphql', 'test/imports.test.ts', 'have no graphql-armor'],
  [
    'a syntax error closes a whole WebSocket',
    'test/server/websocket.test.ts',
    'a syntax error ends its own operation only',
  ],
  [
    'an open event stream keeps a server alive',
    'test/server/process.test.ts',
    'ends streams and sockets with their reason',
  ],
  ['any origin is echoed, with credentials', 'test/server/cors.test.ts', 'no origin is echoed'],
  ['URL-encoded forms are executed', 'test/server/errors.test.ts', 'a URL-encoded form'],
  ['newest releases do not fit together', 'test/imports.test.ts', 'are pinned to one version each'],
  ['a token limit given as an option is ignored', 'test/server/limits.test.ts', "it('tokens'"],
];

describe('the traps of the stack', () => {
  for (const [trap, file, test] of HELD_ELSEWHERE) {
    it(`${trap}: held by ${file}`, () => {
      assert.ok(readFileSync(join(ROOT, file), 'utf8').includes(test));
    });
  }

  it('one buffer for all subscriptions gives events to the wrong user: each has its own', async (t) => {
    const bus = await openEventBus({ redisUrl: null, databaseUrl: new Secret('sqlite::memory:'), log });
    t.after(() => bus.close());
    const [alice, bob] = ['alice', 'bob'].map((user) =>
      bus.subscribe('transfer.changed', { filter: ({ userId }) => userId === user }),
    );
    for (const userId of ['alice', 'bob', 'alice']) {
      await bus.publish('transfer.changed', { userId, transferId: `of ${userId}`, revision: 1 });
    }
    assert.equal((await alice?.next())?.value.transferId, 'of alice');
    assert.equal((await bob?.next())?.value.transferId, 'of bob');
    assert.equal((await alice?.next())?.value.transferId, 'of alice');
  });

  it('the 1,025th unread event ends the process: a slow reader loses the oldest instead', async (t) => {
    const bus = await openEventBus({ redisUrl: null, databaseUrl: new Secret('sqlite::memory:'), log });
    t.after(() => bus.close());
    const slow = bus.subscribe('notice');
    for (let number = 1; number <= 3_000; number += 1) {
      await bus.publish('notice', { at: '', message: String(number), level: 'INFO' });
    }
    const { value } = await slow.next();
    assert.ok(Number(value.message) > 1_024, value.message);
  });

  it('the stock pub/sub and its Redis target are not used', () => {
    const users = globSync('src/**/*.ts', { cwd: ROOT }).filter((file) =>
      /createPubSub|repeaterBuffer|redis-event-target/.test(readFileSync(join(ROOT, file), 'utf8')),
    );
    assert.deepEqual(users, []);
  });

  it("Yoga's own limiter of bodies halves throughput: it is off, and body.ts holds the limit", () => {
    assert.match(readFileSync(join(ROOT, 'src/server/graphql.ts'), 'utf8'), /maxRequestBodySize: false/);
  });

  it('on SQLite an open transaction blocks every other query: reads have a connection of their own', async (t) => {
    const folder = await temporaryFolder(t);
    const storage = await openStorage({ url: new Secret(`sqlite:${join(folder, 'x.sqlite')}`), log });
    t.after(() => storage.close());
    const add = { at: new Date(), userId: null, action: 'test', accountId: null, detail: {} };
    await storage.transaction(async (em) => {
      await em.insert(AuditRecord, add);
      assert.equal(await storage.fork().count(AuditRecord), 0); // Answered while the transaction waits for it.
    });
    assert.equal(await storage.fork().count(AuditRecord), 1);
  });
});
