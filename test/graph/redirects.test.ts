import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DriveError } from '../../src/drives/errors.ts';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { linkAccount, memoryDrive } from '../support/memory-drive.ts';
import { type Person, registerUser } from '../support/people.ts';

const CREATE = `mutation ($input: CreateDownloadTicketInput!) {
  createDownloadTicket(input: $input) {
    ... on CreateDownloadTicketPayload { ticket { url mode headers { name value } } allowance { used } }
    ... on UserError { code }
  }
}`;

describe('a download that the provider gives itself', { timeout: 60_000 }, () => {
  let app: TestApp;
  let person: Person;
  let accountId: string;
  const drive = memoryDrive({ id: 'BAIDU', acts: ['link'] });

  before(async () => {
    app = await startTestApp({ drives: [local, drive.definition], settings: { DOWNLOAD_LIMIT: '1000' } });
    person = await registerUser(app);
    drive.put('/film.mkv');
    accountId = encodeGlobalId('CloudAccount', (await linkAccount(app, person.userId, { provider: 'BAIDU' })).id);
  });
  after(() => app.close());
  beforeEach(() => drive.mend());

  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  const create = async (mode: string): Promise<any> => {
    const input = { file: { path: { accountId, path: '/film.mkv' } }, mode };
    const { data, errors } = await app.graphql(CREATE, { input }, person.token);
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data.createDownloadTicket;
  };
  const get = (url: string): Promise<Response> => fetch(url, { redirect: 'manual' });
  const links = (): number => drive.calls.filter((call) => call === 'link').length;

  it('leads to a fresh link each time, and is charged once', async () => {
    const { ticket, allowance } = await create('REDIRECT');
    assert.equal(ticket.mode, 'REDIRECT');
    assert.deepEqual(ticket.headers, [{ name: 'User-Agent', value: 'provider' }]);
    const before = links();
    for (let times = 0; times < 2; times += 1) {
      const response = await get(ticket.url);
      assert.equal(response.status, 302);
      assert.match(response.headers.get('location') ?? '', /^https:\/\/bytes\.example\//);
      assert.deepEqual(
        [response.headers.get('cache-control'), response.headers.get('referrer-policy')],
        ['no-store', 'no-referrer'],
      );
    }
    assert.equal(links(), before + 2);
    assert.equal((await create('PROXY')).allowance.used, allowance.used + 1);
  });

  it('comes by way of this server where the provider gives no link to the file', async () => {
    for (const category of ['unsupported', 'permission_denied'] as const) {
      drive.fail('link', new DriveError(category, 'No.', { provider: 'BAIDU' }));
      const { ticket } = await create('REDIRECT');
      assert.deepEqual([ticket.mode, ticket.headers], ['PROXY', []]);
      assert.equal((await fetch(ticket.url, { method: 'HEAD', redirect: 'manual' })).status, 200);
    }
  });

  it('is not given, nor charged, while the provider fails', async () => {
    const { allowance } = await create('PROXY');
    drive.fail('link', new DriveError('unavailable', 'Later.', { provider: 'BAIDU', retryable: true }));
    assert.equal((await create('REDIRECT')).code, 'PROVIDER_FAILED');
    drive.mend();
    assert.equal((await create('PROXY')).allowance.used, allowance.used + 1);
  });

  it('ends with the session that asked for it', async () => {
    const other = await registerUser(app);
    const mine = encodeGlobalId('CloudAccount', (await linkAccount(app, other.userId, { provider: 'BAIDU' })).id);
    const input = { file: { path: { accountId: mine, path: '/film.mkv' } }, mode: 'REDIRECT' };
    const { data, errors } = await app.graphql<{ createDownloadTicket: { ticket: { url: string } } }>(
      CREATE,
      { input },
      other.token,
    );
    assert.ok(data, JSON.stringify(errors));
    const { url } = data.createDownloadTicket.ticket;
    assert.equal((await get(url)).status, 302);
    await app.graphql('mutation { logout(input: {}) { __typename } }', {}, other.token);
    assert.equal((await get(url)).status, 404);
  });
});
