import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { local } from '../../src/drives/local/drive.ts';
import { encodeGlobalId } from '../../src/graph/ids.ts';
import { Account } from '../../src/storage/entities/account.ts';
import { startTestApp } from '../support/app.ts';
import { PASSWORD, startLinkableCloud } from '../support/linkable-drive.ts';
import { ada, bob, LinkingBench } from '../support/linking.ts';
import { listing } from '../support/listing.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { createApiKey, registerUser } from '../support/people.ts';
import { openSse } from '../support/transports.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

describe('linking', { timeout: 120_000 }, () => {
  let bench: LinkingBench;

  before(async () => {
    bench = await LinkingBench.open();
  });
  beforeEach(() => bench.newPerson());
  after(() => bench.close());

  describe('on the page of the provider', () => {
    const begin = async (input: object = {}, who = bench.person): Promise<{ state: string; url: URL }> => {
      const answer = await bench.change('startAuthorizationLink', { provider: 'BAIDU', ...input }, who.token);
      assert.ok(answer.state, JSON.stringify(answer));
      return { state: answer.state, url: new URL(answer.authorizationUrl) };
    };
    const codeFor = (url: URL, who = ada): string => bench.cloud.issueCode(who, url.searchParams.get('codeChallenge'));
    const complete = (state: string, code: string, who = bench.person): Promise<Answer> =>
      bench.change('completeAuthorizationLink', { state, code }, who.token);
    const callback = (values: Record<string, string>): Promise<Response> =>
      fetch(`${bench.app.url}/link/callback?${new URLSearchParams(values)}`);

    it('links with the code, by the verifier of its challenge', async () => {
      const { state, url } = await begin({ label: 'By the page' });
      assert.equal(url.searchParams.get('state'), state);
      assert.equal(url.searchParams.get('redirectUri'), `${bench.app.url}/link/callback`);
      assert.match(url.searchParams.get('codeChallenge') ?? '', /^[\w-]{43}$/);
      assert.equal((await complete(state, codeFor(url))).account.label, 'By the page');
    });

    it('takes a state once, from who began it', async () => {
      const { state, url } = await begin();
      const stranger = await registerUser(bench.app);
      const refused = await complete(state, codeFor(url), stranger);
      assert.deepEqual(refused.issues[0].path, ['input', 'state']);
      assert.deepEqual((await complete(state, ' ')).issues[0].path, ['input', 'code']);
      assert.equal((await complete(state, codeFor(url))).__typename, 'CompleteAuthorizationLinkPayload');
      assert.deepEqual(await complete(state, codeFor(url)), refused);
      assert.deepEqual(await complete('unknown', codeFor(url)), refused);
    });

    it('is refused with a code of another challenge, and when the provider is down', async () => {
      const { state } = await begin();
      const answer = await complete(
        state,
        bench.cloud.issueCode(ada, createHash('sha256').update('x').digest('base64url')),
      );
      assert.equal(answer.code, 'PERMISSION_DENIED');
      const other = await begin();
      bench.cloud.behaviour.down = true;
      assert.equal((await complete(other.state, codeFor(other.url))).code, 'PROVIDER_FAILED');
      bench.cloud.behaviour.down = false;
      assert.deepEqual(await bench.rows(), []);
    });

    it('takes an own address to return to, if it is one', async () => {
      const { url } = await begin({ redirectUri: 'com.example.app:/linked' });
      assert.equal(url.searchParams.get('redirectUri'), 'com.example.app:/linked');
      const wrong = await bench.change('startAuthorizationLink', { provider: 'BAIDU', redirectUri: 'nowhere' });
      assert.deepEqual(wrong.issues[0].path, ['input', 'redirectUri']);
    });

    it('ends in a small page, which nobody keeps and no script can be put into', async () => {
      const { state, url } = await begin();
      const label = '<script>alert(1)</script>';
      const response = await callback({ state, code: codeFor(url, { ...ada, name: label }) });
      const text = await response.text();
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type') ?? '', /^text\/html/);
      assert.equal(response.headers.get('cache-control'), 'no-store');
      assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
      assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/);
      assert.doesNotMatch(text, /<script/);
      assert.match(text, /is linked/);
      assert.equal((await bench.rows())[0]?.label, label);
      assert.equal((await callback({ state, code: codeFor(url) })).status, 400);
      assert.equal((await callback({ state: 'x<script>', code: 'y' })).status, 400);
      assert.equal((await callback({ error: 'access_denied', state })).status, 400);
      assert.equal((await callback({})).status, 400);
      assert.equal((await fetch(`${bench.app.url}/link/callback`, { method: 'POST' })).status, 405);
    });
  });

  describe('with typed values', () => {
    const values = (given: Readonly<Record<string, string>>) =>
      Object.entries(given).map(([name, value]) => ({ name, value }));
    const link = (given: Readonly<Record<string, string>>, more: object = {}): Promise<Answer> =>
      bench.change('linkWithCredentials', { provider: 'BAIDU', values: values(given), ...more });

    it('links, and keeps the secret ones sealed', async () => {
      const { account } = await link({ username: ' ada ', password: PASSWORD, address: 'https://cloud.example' });
      assert.equal(account.label, 'ada');
      assert.equal(account.credentials.masked, '••••••••');
      const [row] = await bench.rows();
      assert.deepEqual(row?.settings, { address: 'https://cloud.example', username: 'ada' });
      assert.doesNotMatch(JSON.stringify(row), /canary/);
    });

    it('names each value that is missing, unknown, given twice or too long', async () => {
      const { issues } = await bench.change('linkWithCredentials', {
        provider: 'BAIDU',
        values: [
          { name: 'pasword', value: PASSWORD },
          { name: 'address', value: 'one' },
          { name: 'address', value: 'two' },
          { name: 'username', value: 'x'.repeat(9000) },
        ],
      });
      const told = issues.map(({ path, message }: Answer) => `${path.join('.')} ${message}`);
      assert.deepEqual(told, [
        'input.values.0.name is unknown: see Provider.settings',
        'input.values.2.name gives address twice',
        'input.values.3.value must have at most 8192 characters',
        'input.values lacks password (Password)',
      ]);
      assert.doesNotMatch(JSON.stringify(issues), /canary/);
    });

    it('is refused with wrong ones, and stores nothing', async () => {
      assert.equal((await link({ username: 'ada', password: 'password-canary but wrong' })).code, 'PERMISSION_DENIED');
      assert.deepEqual(await bench.rows(), []);
    });
  });

  describe('with tokens that an app has', () => {
    it('makes an account, then updates it in place', async () => {
      const first = await bench.upsert(ada, { label: 'First' });
      const again = await bench.upsert(ada);
      assert.equal(again.account.id, first.account.id);
      assert.equal(again.account.label, 'First');
      const renamed = await bench.upsert(ada, { label: 'Renamed', accountId: first.account.id });
      assert.equal(renamed.account.label, 'Renamed');
      const [row, ...others] = await bench.rows();
      assert.deepEqual(others, []);
      assert.equal(row?.providerUserId, ada.id);
    });

    it('are one account, however many link it at once', async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => bench.upsert(ada)));
      assert.equal(new Set(answers.map(({ account }) => account.id)).size, 1);
      assert.equal((await bench.rows()).length, 1);
    });

    it('takes several accounts of one provider, and the same one for two users', async () => {
      const ids = [await bench.upsert(ada), await bench.upsert(bob)].map(({ account }) => account.id);
      assert.equal(new Set(ids).size, 2);
      const other = await registerUser(bench.app);
      const theirs = await bench.upsert(ada, {}, other.token);
      assert.ok(!ids.includes(theirs.account.id));
      assert.equal((await bench.listOf(theirs.account.id)).data.node, null);
    });

    it('refuses an account that is not there, not yours, or somebody else at the provider', async () => {
      const { account } = await bench.upsert(ada);
      await bench.upsert(bob);
      const other = await registerUser(bench.app);
      const refused = [
        await bench.upsert(ada, { accountId: account.id }, other.token),
        await bench.upsert(ada, { accountId: encodeGlobalId('CloudAccount', 'nothing') }),
        await bench.upsert(ada, { accountId: bench.person.accountId }),
        await bench.upsert(ada, { accountId: '' }),
      ];
      assert.deepEqual([...new Set(refused.map(({ code }) => code))], ['NOT_FOUND']);
      assert.equal((await bench.upsert(bob, { accountId: account.id })).code, 'CONFLICT');
      assert.equal((await bench.rows()).length, 2);
    });

    it('refuses tokens that are none, or that the provider does not take', async () => {
      for (const accessToken of ['', 'with space', 'x'.repeat(9000)]) {
        const answer = await bench.upsert(ada, { accessToken });
        assert.deepEqual(answer.issues[0].path, ['input', 'accessToken']);
      }
      assert.equal((await bench.upsert(ada, { expiresInSeconds: 0 })).code, 'INVALID_INPUT');
      assert.equal((await bench.upsert(ada, { accessToken: 'unknown-canary' })).code, 'PERMISSION_DENIED');
      assert.deepEqual(await bench.rows(), []);
    });

    it('makes a new account each time where the provider does not tell who it is', async () => {
      const nobody = { id: null, name: `${'\n'.repeat(3)}${'n'.repeat(200)}` };
      const { account } = await bench.upsert(nobody);
      assert.equal(account.label, 'n'.repeat(125));
      await bench.upsert(nobody);
      assert.equal((await bench.upsert(nobody, { accountId: account.id })).account.id, account.id);
      assert.equal((await bench.rows()).length, 2);
    });

    it('refuses an identity that cannot be kept, and a provider that has no tokens', async () => {
      assert.equal((await bench.upsert({ id: 'x'.repeat(129), name: 'Long' })).code, 'PROVIDER_FAILED');
      const answer = await bench.upsert(ada, { provider: 'LOCAL' });
      assert.equal(answer.code, 'UNSUPPORTED');
    });
  });

  describe('shared accounts', () => {
    it('are linked, updated and unlinked by administrators, one for each provider, for all', async () => {
      assert.equal(
        (await bench.change('startDeviceLink', { provider: 'BAIDU', shared: true })).code,
        'PERMISSION_DENIED',
      );
      const key = await createApiKey(bench.app, bench.admin.token, ['READ', 'ACCOUNTS']);
      const byKey = await bench.change('startDeviceLink', { provider: 'BAIDU', shared: true }, key.secret);
      assert.equal(byKey.code, 'PERMISSION_DENIED', 'a key without the right of an administrator');

      const linked: string[] = [];
      for (const who of [ada, bob]) {
        const { link, flow } = await bench.start({ shared: true }, bench.admin);
        flow.answer = { outcome: 'APPROVED', person: who };
        await bench.pass();
        const { account } = await bench.deviceLink(link.id, bench.admin);
        assert.equal(account.shared, true);
        assert.equal(account.credentials.masked, '••••••••');
        linked.push(account.id);
      }
      const [id = ''] = linked;
      assert.deepEqual(linked, [id, id]);

      const seen = await bench.listOf(id);
      assert.equal(seen.data.node.root.children.nodes.length, 2);
      const { data } = await bench.query(
        'query ($id: ID!) { node(id: $id) { ... on CloudAccount { credentials { masked } } } }',
        { id },
      );
      assert.equal(data.node.credentials, null, 'users see nothing of its credentials');
      for (const mutation of ['unlinkAccount', 'updateAccount'] as const) {
        assert.equal((await bench.change(mutation, { accountId: id })).code, 'PERMISSION_DENIED');
      }
      assert.equal((await bench.upsert(bob, { accountId: id })).code, 'PERMISSION_DENIED');
      assert.equal((await bench.upsert(ada, { accountId: id }, bench.admin.token)).code, 'CONFLICT');
      assert.equal(
        (await bench.upsert(bob, { accountId: id, label: 'Ours' }, bench.admin.token)).account.label,
        'Ours',
      );
      assert.equal((await bench.change('unlinkAccount', { accountId: id }, bench.admin.token)).accountId, id);
      assert.equal((await bench.listOf(id)).data.node, null);
    });
  });

  describe('unlinking', () => {
    it('ends the grant at the provider, and leaves nothing of it here', async () => {
      const { account } = await bench.upsert(ada);
      const { link, flow } = await bench.start();
      flow.answer = { outcome: 'APPROVED', person: ada };
      await bench.pass();
      const token = bench.cloud.grants.at(-1)?.accessToken;
      const other = await registerUser(bench.app);
      assert.equal((await bench.change('unlinkAccount', { accountId: account.id }, other.token)).code, 'NOT_FOUND');
      assert.equal((await bench.change('unlinkAccount', { accountId: account.id })).accountId, account.id);
      assert.equal(bench.cloud.revoked.at(-1), token);
      assert.deepEqual(await bench.rows(), []);
      assert.equal((await bench.deviceLink(link.id)).account, null);
      assert.equal((await bench.change('unlinkAccount', { accountId: account.id })).code, 'NOT_FOUND');
    });

    it('is done also when the provider is down, or the credentials cannot be opened', async () => {
      const first = (await bench.upsert(ada)).account.id;
      const second = (await bench.upsert(bob)).account.id;
      await bench.app.app.storage
        .fork()
        .nativeUpdate(
          Account,
          { providerUserId: bob.id, ownerId: bench.person.userId },
          { sealedCredentials: 'broken' },
        );
      bench.cloud.behaviour.down = true;
      for (const accountId of [first, second]) {
        assert.equal((await bench.change('unlinkAccount', { accountId })).accountId, accountId);
      }
      bench.cloud.behaviour.down = false;
      assert.deepEqual(await bench.rows(), []);
    });

    it('never takes the built-in drive away', async () => {
      assert.equal(
        (await bench.change('unlinkAccount', { accountId: bench.person.accountId })).code,
        'PERMISSION_DENIED',
      );
    });

    it('fails what a transfer still wants of the account with a typed error', async () => {
      const { account } = await bench.upsert(ada);
      const [row] = await bench.rows();
      const opened = await bench.app.app.services.accounts.openForUser(bench.person.userId, row?.id ?? '');
      await bench.change('unlinkAccount', { accountId: account.id });
      const call = { signal: AbortSignal.timeout(5_000) };
      const page = { cursor: null, limit: 1 };
      await assert.rejects(listing(opened.driver)('/', {}, page, call), { category: 'unauthenticated' });
      await assert.rejects(bench.app.app.services.accounts.openForUser(bench.person.userId, row?.id ?? ''), {
        code: 'NOT_FOUND',
      });
    });
  });

  describe('an account whose grant ended', () => {
    it('says so with the account, and is made active by linking it again, in each way', async () => {
      const { account } = await bench.upsert(ada);
      const relink: (() => Promise<unknown>)[] = [
        () => bench.upsert(ada),
        () => bench.upsert(ada, { accountId: account.id }),
        async () => {
          const { flow } = await bench.start();
          flow.answer = { outcome: 'APPROVED', person: ada };
          await bench.pass();
        },
        async () => {
          const { state } = await bench.change('startAuthorizationLink', { provider: 'BAIDU' });
          await bench.change('completeAuthorizationLink', { state, code: bench.cloud.issueCode(ada) });
        },
      ];
      const events = openSse(bench.app.url, {
        query: 'subscription ($id: ID!) { accountUpdated(accountId: $id) { status } }',
        variables: { id: account.id },
        token: bench.person.token,
      });
      const status = async (): Promise<string> => (await events.next()).value?.data.accountUpdated.status;
      assert.equal(await status(), 'ACTIVE');
      for (const link of relink) {
        bench.cloud.expireTokens(true);
        const failed = await bench.listOf(account.id);
        assert.equal(failed.errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
        assert.equal(failed.errors?.[0]?.extensions?.accountId, account.id);
        assert.equal(await status(), 'NEEDS_REAUTHORIZATION');
        const refused = await bench.query(
          `mutation ($id: ID!) { createFolder(input: { parent: { path: { accountId: $id, path: "/" } }, name: "x" }) { ... on ReauthorizationRequiredError { account { id } } } }`,
          { id: account.id },
        );
        assert.equal(refused.data.createFolder.account.id, account.id);
        await link();
        assert.equal(await status(), 'ACTIVE');
        assert.equal((await bench.listOf(account.id)).errors, undefined);
      }
      await events.return(undefined);
    });

    it('asks for one renewal, however many calls find its token expired', async () => {
      const { account } = await bench.upsert(ada);
      bench.cloud.expireTokens();
      const before = bench.cloud.counts.refreshes;
      const gate = Promise.withResolvers<void>();
      bench.cloud.behaviour.gate = gate.promise;
      const calls = Array.from({ length: 50 }, () => bench.listOf(account.id));
      while (bench.cloud.counts.refreshes === before) await new Promise((resolve) => setImmediate(resolve));
      gate.resolve();
      for (const { data, errors } of await Promise.all(calls)) {
        assert.equal(data.node.root?.children.nodes.length, 2, JSON.stringify(errors));
      }
      assert.equal(bench.cloud.counts.refreshes - before, 1);
      const [row] = await bench.rows();
      assert.ok(row?.credentialsRefreshedAt);
    });

    it('keeps what its person gave while an older grant was renewed', async () => {
      for (const forGood of [false, true]) {
        const { account } = await bench.upsert(ada);
        bench.cloud.expireTokens(forGood);
        const gate = Promise.withResolvers<void>();
        bench.cloud.behaviour.gate = gate.promise;
        const before = bench.cloud.counts.refreshes;
        const listing = bench.listOf(account.id);
        while (bench.cloud.counts.refreshes === before) await new Promise((resolve) => setImmediate(resolve));
        const tokens = bench.tokensOf(ada);
        await bench.change('upsertAccountTokens', tokens);
        gate.resolve();
        await listing;
        const [row] = await bench.rows();
        assert.equal(row?.status, 'ACTIVE');
        bench.cloud.revoked.length = 0;
        await bench.change('unlinkAccount', { accountId: account.id });
        assert.deepEqual(bench.cloud.revoked, [tokens.accessToken]);
      }
    });

    it('says that it must be linked again when what is stored was changed or moved, and is well afterwards', async () => {
      const { account } = await bench.upsert(ada);
      await bench.upsert(bob);
      const [one, other] = await bench.rows();
      for (const sealed of [other?.sealedCredentials, 'v1.gone.AAAA', `${one?.sealedCredentials?.slice(0, -2)}AA`]) {
        await bench.app.app.storage
          .fork()
          .nativeUpdate(Account, { id: one?.id ?? '' }, { sealedCredentials: sealed ?? null });
        const { errors } = await bench.listOf(account.id);
        assert.equal(errors?.[0]?.extensions?.code, 'REAUTHORIZATION_REQUIRED');
        assert.ok(bench.app.logLines.some((line) => line.includes('credentials of an account cannot be opened')));
      }
      await bench.upsert(ada);
      assert.equal((await bench.listOf(account.id)).errors, undefined);
    });
  });

  it('keeps every secret out of the log', () => {
    const log = bench.app.logLines.join('\n');
    for (const secret of [...bench.cloud.secrets(), PASSWORD.trim()]) assert.ok(!log.includes(secret), secret);
    assert.doesNotMatch(log, /canary/);
  });
});

describe('a sign-in on a page', { timeout: 60_000 }, () => {
  it('counts no more after a while, and is removed', async () => {
    const clock = new ManualClock();
    const cloud = await startLinkableCloud();
    const app = await startTestApp({ drives: [local, cloud.definition], clock });
    try {
      const { token } = await registerUser(app);
      const { data } = await app.graphql(
        'mutation { startAuthorizationLink(input: { provider: BAIDU }) { ... on StartAuthorizationLinkPayload { state } } }',
        {},
        token,
      );
      clock.advance(15 * 60_000);
      const query = new URLSearchParams({ state: data.startAuthorizationLink.state, code: cloud.issueCode(ada) });
      assert.equal((await fetch(`${app.url}/link/callback?${query}`)).status, 400);
      assert.equal(await app.app.services.authorizations.sweep(), 1);
    } finally {
      await app.close();
      await cloud.close();
    }
  });
});
