import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { ServerProcess, temporaryFolder } from '../support/process.ts';
import { openSse, RawSocket, type Result } from '../support/transports.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const PROBED = new URL('../support/probe-main.ts', import.meta.url).pathname;

async function launch(t: TestContext, entry: string, environment: Readonly<Record<string, string>> = {}) {
  const dataDir = await temporaryFolder(t);
  const server = new ServerProcess(entry, { DATA_DIR: dataDir, ...environment });
  t.after(async () => {
    server.child.kill('SIGKILL');
    await server.exited;
  });
  return { server, dataDir };
}

const graphql = async (url: string, query: string, token?: string): Promise<Result> => {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ query }),
  });
  return (await response.json()) as Result;
};

const register = async (url: string): Promise<string> => {
  const input = '{ username: "alice", password: "correct horse battery staple" }';
  const { data } = await graphql(
    url,
    `mutation { register(input: ${input}) { ... on RegisterPayload { session { accessToken } } } }`,
  );
  return data.register.session.accessToken;
};

describe('the program', () => {
  it('says after the start what to open, where its data is, and who is first', async (t) => {
    const { server, dataDir } = await launch(t, MAIN);
    const url = await server.url();
    assert.match(server.stderr, new RegExp(`GraphiQL +${url}/graphql`));
    assert.ok(server.stderr.includes(dataDir));
    assert.ok(server.stderr.includes(join(dataDir, 'outbox')));
    assert.match(server.stderr, /first user becomes the administrator/);
    assert.equal((await fetch(`${url}/health/ready`)).status, 200);
  });

  it('says that links are of no use to others, where it listens to them and was not told its address', async (t) => {
    const { server } = await launch(t, MAIN, { HOST: '0.0.0.0' });
    await server.logged('PUBLIC_URL is not set: links are of use on this machine alone');
    await server.url();
    assert.match(server.stderr, /Links +http:\/\/localhost:\d+ .*Set PUBLIC_URL/);
    for (const settings of [{ HOST: '0.0.0.0', PUBLIC_URL: 'https://panql.example' }, {}] as Record<string, string>[]) {
      const told = await launch(t, MAIN, settings);
      await told.server.url();
      assert.doesNotMatch(told.server.stderr, /Set PUBLIC_URL/);
    }
  });

  it('does not speak of the first user when there is one', async (t) => {
    const { server, dataDir } = await launch(t, MAIN);
    await register(await server.url());
    server.child.kill('SIGTERM');
    assert.deepEqual(await server.exited, { code: 0, signal: null });
    const again = new ServerProcess(MAIN, { DATA_DIR: dataDir });
    await again.url();
    assert.doesNotMatch(again.stderr, /first user/);
    again.child.kill('SIGTERM');
    assert.deepEqual(await again.exited, { code: 0, signal: null });
  });

  describe('explains a start that fails, and exits with 1', () => {
    async function assertFails(t: TestContext, environment: Readonly<Record<string, string>>, expected: RegExp[]) {
      const { server } = await launch(t, MAIN, environment);
      assert.deepEqual(await server.exited, { code: 1, signal: null }, server.stderr);
      for (const text of expected) assert.match(server.stderr, text);
      assert.doesNotMatch(server.stderr, /\n +at |node_modules|hunter2/, 'a stack, or a secret');
    }

    it('the port is taken', async (t) => {
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      t.after(() => other.close());
      const { port } = other.address() as AddressInfo;
      await assertFails(t, { PORT: String(port) }, [new RegExp(`Port ${port} on 127.0.0.1 is taken`), /set PORT/]);
    });

    it('the address is of another machine', (t) =>
      assertFails(t, { HOST: '192.0.2.1' }, [/192\.0\.2\.1/, /set HOST/i]));

    it('the data folder cannot be written', async (t) => {
      const folder = await temporaryFolder(t);
      await writeFile(join(folder, 'file'), '');
      await assertFails(t, { DATA_DIR: join(folder, 'file') }, [/data folder/, /set DATA_DIR/]);
    });

    it('the data folder is where no folder can be', { timeout: 120_000 }, async (t) => {
      for (const path of ['/proc/panql', '/proc/self', '/dev/null/panql']) {
        await assertFails(t, { DATA_DIR: path }, [new RegExp(`data folder ${path}`), /set DATA_DIR/]);
      }
      await assertFails(t, { DATABASE_URL: 'sqlite:/proc/panql/x.sqlite' }, [/DATABASE_URL/]);
    });

    it('the database does not answer', (t) =>
      assertFails(t, { DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:1/panql' }, [
        /127\.0\.0\.1:1\/panql/,
        /ECONNREFUSED/,
        /DATABASE_URL/,
      ]));

    it('the database file is something else', async (t) => {
      const folder = await temporaryFolder(t);
      await writeFile(
        join(folder, 'x.sqlite'),
        'not a database, but long enough to be read as the head of one'.repeat(20),
      );
      await assertFails(t, { DATABASE_URL: `sqlite:${join(folder, 'x.sqlite')}` }, [/SQLITE_NOTADB/, /DATABASE_URL/]);
    });

    it('the database was changed by a newer version', async (t) => {
      const { server, dataDir } = await launch(t, MAIN);
      await server.url();
      server.child.kill('SIGTERM');
      await server.exited;
      const database = new DatabaseSync(join(dataDir, 'panql.sqlite'));
      database.exec(
        `insert into mikro_orm_migrations (name, executed_at) values ('29991231000000-later', current_timestamp)`,
      );
      database.close();
      await assertFails(t, { DATA_DIR: dataDir }, [/newer version/, /29991231000000-later/, /backup/]);
    });

    it('several settings are wrong: all are named at once', (t) =>
      assertFails(t, { PORT: 'http', LOG_LEVEL: 'loud', CORS_ORIGINS: '', PUBLIC_URL: 'x' }, [
        /PORT/,
        /LOG_LEVEL/,
        /PUBLIC_URL/,
      ]));

    it('production without keys', (t) => assertFails(t, { NODE_ENV: 'production' }, [/JWT_KEYS/]));
  });

  describe('at SIGTERM', () => {
    it('answers what runs, ends streams and sockets with their reason, takes nothing new, and exits with 0', async (t) => {
      const { server } = await launch(t, PROBED, { PROBE_SLOW_MS: '400' });
      const url = await server.url();
      const token = await register(url);
      const events = openSse(url, { query: 'subscription { probeSilence }', token });
      await events.next();
      const socket = await RawSocket.signedIn(url, token);
      socket.subscribe('silence', 'subscription { probeSilence }');
      await socket.message();
      socket.subscribe('slow', '{ probeSlow }');
      const slow = graphql(url, '{ probeSlow }');
      const idle = connect(Number(new URL(url).port), '127.0.0.1'); // As a browser opens one ahead.
      await once(idle, 'connect');
      await server.logged('slow began');

      server.child.kill('SIGTERM');
      assert.deepEqual((await events.next()).value, {
        errors: [{ message: 'The server is restarting. Connect again.', extensions: { code: 'SHUTTING_DOWN' } }],
      });
      assert.equal((await events.next()).done, true);
      await assert.rejects(fetch(`${url}/health/live`));
      assert.deepEqual(await slow, { data: { probeSlow: 'done' } });
      assert.deepEqual(await socket.message(), { type: 'next', id: 'slow', payload: { data: { probeSlow: 'done' } } });
      assert.deepEqual(await socket.closed, { code: 1001, reason: 'Going away' });
      assert.deepEqual(await server.exited, { code: 0, signal: null });
    });

    it('is not ready, and still answers, while the load balancer is given notice', async (t) => {
      const { server } = await launch(t, PROBED, {
        NODE_ENV: 'production',
        JWT_KEYS: `k:${randomBytes(32).toString('base64')}`,
        VAULT_KEYS: `k:${randomBytes(32).toString('base64')}`,
      });
      const url = await server.url();
      server.child.kill('SIGTERM');
      await server.logged('ending: what runs may finish');
      const ready = await fetch(`${url}/health/ready`);
      assert.equal(ready.status, 503);
      assert.deepEqual(await ready.json(), { status: 'draining' });
      assert.deepEqual(await graphql(url, '{ __typename }'), { data: { __typename: 'Query' } });
      assert.deepEqual(await server.exited, { code: 0, signal: null });
    });

    it('a second signal ends it at once', async (t) => {
      const { server } = await launch(t, PROBED, { PROBE_SLOW_MS: '60000' });
      const url = await server.url();
      const slow = assert.rejects(graphql(url, '{ probeSlow }'));
      await server.logged('slow began');
      server.child.kill('SIGINT');
      await server.logged('ending: what runs may finish');
      server.child.kill('SIGTERM');
      assert.deepEqual(await server.exited, { code: 1, signal: null });
      await slow;
    });
  });
});
