import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { globSync, readFileSync, statSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { local } from '../src/drives/local/drive.ts';
import { startTestApp, type TestApp } from './support/app.ts';
import { type LinkableCloud, PASSWORD, POLL_INTERVAL_MS, startLinkableCloud } from './support/linkable-drive.ts';
import { ManualClock } from './support/manual-clock.ts';
import { identify, type Person, registerUser } from './support/people.ts';

const VAULT_KEY = randomBytes(32).toString('base64');
const JWT_KEY = randomBytes(32).toString('base64');
const CLIENT_SECRET = 'client-secret-canary-of-the-operator';
const PERSON_PASSWORD = 'password-canary of a user';
const KEY_OF_A_LINK = 'key-canary-of-a-link';
const ada = { id: 'ada', name: 'Ada' };

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

describe('secrets', { timeout: 60_000 }, () => {
  const clock = new ManualClock();
  /** Everything that the server answered. */
  const answers: string[] = [];
  /** Every secret that somebody gave or got, by what it is. */
  const secrets = new Map<string, string>([
    ['the key of the vault', VAULT_KEY],
    ['the key of tokens', JWT_KEY],
    ["the operator's client secret", CLIENT_SECRET],
    ['the password at the cloud', PASSWORD.trim()],
    ['the password of a user', PERSON_PASSWORD],
    ['the key of a direct link', KEY_OF_A_LINK],
  ]);
  /** What was given to its own person in an answer, as it must be: only there may it stand. */
  const handedOut = new Set<string>();
  let cloud: LinkableCloud;
  let app: TestApp;
  let person: Person;

  const call = async (
    document: string,
    variables: object = {},
    token: string | null = person.token,
  ): Promise<Answer> => {
    const { data, errors } = await app.graphql<Answer>(document, variables, token);
    answers.push(JSON.stringify({ data, errors }));
    return { data, errors };
  };

  before(async () => {
    cloud = await startLinkableCloud();
    app = await startTestApp({
      drives: [local, cloud.definition],
      clock,
      settings: {
        LOG_LEVEL: 'trace',
        VAULT_KEYS: `k1:${VAULT_KEY}`,
        JWT_KEYS: `k1:${JWT_KEY}`,
        BAIDU_CLIENT_ID: 'client',
        BAIDU_CLIENT_SECRET: CLIENT_SECRET,
      },
    });
    person = await registerUser(app, 'canary-keeper', { password: PERSON_PASSWORD });
    await everythingWithSecrets();
    for (const secret of cloud.secrets()) secrets.set(`of the cloud: ${secret.split('-')[0]} ${secrets.size}`, secret);
  });
  after(async () => {
    await app.close();
    await cloud.close();
  });

  async function everythingWithSecrets(): Promise<void> {
    // The way in, right and wrong.
    for (const password of [PERSON_PASSWORD, `${PERSON_PASSWORD} but wrong`]) {
      const outcome = await identify(app, 'login', { username: person.username, password });
      if (!outcome.session) answers.push(JSON.stringify(outcome));
      else hand(outcome.session.accessToken, outcome.session.refreshToken);
    }
    hand(person.token, person.refreshToken);
    const key = await identify(app, 'createApiKey', { name: 'key', scopes: ['READ'] }, { token: person.token });
    hand(key.secret);

    // Linking in every way, right and wrong, and while the cloud is down.
    const values = (password: string) => [
      { name: 'username', value: 'ada' },
      { name: 'password', value: password },
    ];
    const link = `mutation ($values: [SettingValueInput!]!) { linkWithCredentials(input: { provider: BAIDU, values: $values }) {
      __typename ... on LinkWithCredentialsPayload { account { id } } ... on UserError { code message } ... on InvalidInputError { issues { path message } } } }`;
    const account = (await call(link, { values: values(PASSWORD) })).data.linkWithCredentials.account;
    await call(link, { values: values(`${PASSWORD} but wrong`) });
    await call(link, { values: [{ name: 'secret', value: PASSWORD }] });
    // A value of the wrong shape is quoted back to its sender; nobody else may see it, nor the log.
    await app.graphql(link, { values: PASSWORD }, person.token);
    const upsert = `mutation ($input: UpsertAccountTokensInput!) { upsertAccountTokens(input: $input) {
      ... on UpsertAccountTokensPayload { account { id credentials { masked expiresAt } } } ... on UserError { code message } } }`;
    const { accessToken, refreshToken } = cloud.grantTo(ada);
    await call(upsert, { input: { provider: 'BAIDU', accessToken, refreshToken } });
    await call(upsert, { input: { provider: 'BAIDU', accessToken: `${accessToken}x`, refreshToken } });
    await call(upsert, { input: { provider: 'BAIDU', accessToken: `${accessToken} x`, refreshToken } });
    await call(upsert, { input: { provider: 'BAIDU', accessToken, refreshToken: 1 } });
    const page = await call(
      'mutation { startAuthorizationLink(input: { provider: BAIDU }) { ... on StartAuthorizationLinkPayload { state authorizationUrl } } }',
    );
    hand(page.data.startAuthorizationLink.state);
    const code = cloud.issueCode(ada);
    secrets.set('a code', code);
    for (let times = 0; times < 2; times += 1) {
      const query = new URLSearchParams({ state: page.data.startAuthorizationLink.state, code });
      answers.push(await (await fetch(`${app.url}/link/callback?${query}`)).text());
    }
    await call(
      'mutation { startDeviceLink(input: { provider: BAIDU }) { ... on StartDeviceLinkPayload { deviceLink { id userCode qrCodeDataUri } } } }',
    );
    const flow = cloud.devices.at(-1);
    assert.ok(flow);
    for (const answer of [new Error('down'), { outcome: 'APPROVED', person: ada }] as const) {
      flow.answer = answer;
      clock.advance(POLL_INTERVAL_MS * 2);
      await app.app.services.deviceLinks.look();
    }

    // Use: listing, a renewal, one that fails for good, an outage.
    const list =
      'query ($id: ID!) { node(id: $id) { ... on CloudAccount { profile { name } root { children { nodes { name } } } } } }';
    await call(list, account);
    cloud.expireTokens();
    await call(list, account);
    cloud.behaviour.down = true;
    await call(list, account);
    await call(link, { values: values(PASSWORD) });
    cloud.behaviour.down = false;
    cloud.expireTokens(true);
    await call(list, account);

    // What is made of secrets: direct links.
    const file = { path: { accountId: person.accountId, path: '/canary.txt' } };
    await call(
      'mutation ($parent: EntryRef!) { uploadText(input: { parent: $parent, name: "canary.txt", content: "x" }) { __typename } }',
      { parent: { path: { accountId: person.accountId, path: '/' } } },
    );
    await call(
      'mutation ($file: EntryRef!, $key: String) { createDirectLink(input: { file: $file, key: $key }) { ... on UserError { code message } } }',
      { file, key: KEY_OF_A_LINK },
    );
    await call('mutation ($id: ID!) { unlinkAccount(input: { accountId: $id }) { __typename } }', account);
    await call('{ audit(first: 100) { nodes { action detail } } viewer { apiKeys { nodes { name prefix } } } }');
  }

  const hand = (...values: string[]): void => {
    for (const value of values) {
      handedOut.add(value);
      secrets.set(`handed out ${secrets.size}`, value);
    }
  };
  /** Names which secrets stand in a text, also in their encodings. */
  const seenIn = (text: string, except: ReadonlySet<string> = new Set()): string[] =>
    [...secrets]
      .filter(([, secret]) => !except.has(secret))
      .filter(([, secret]) =>
        [secret, encodeURIComponent(secret), new URLSearchParams({ x: secret }).toString().slice(2)]
          .concat(Buffer.from(secret).toString('base64').replace(/=+$/, ''))
          .some((form) => text.includes(form)),
      )
      .map(([what, secret]) => `${what}: …${text.slice(Math.max(0, text.indexOf(secret) - 80), text.indexOf(secret))}`);

  it('were used by all that happened', () => {
    assert.ok(secrets.size > 20, `${secrets.size} secrets`);
    assert.ok(app.logLines.length > 20, `${app.logLines.length} lines`);
    const all = answers.join('\n');
    for (const word of [
      'LinkWithCredentialsPayload',
      'PERMISSION_DENIED',
      'REAUTHORIZATION_REQUIRED',
      'account.unlink',
    ]) {
      assert.ok(all.includes(word), word);
    }
    assert.ok(cloud.counts.refreshes >= 2);
  });

  it('stand in no line of the log', () => {
    assert.deepEqual(seenIn(app.logLines.join('\n')), []);
  });

  it('stand in no answer but the one that gives them', () => {
    assert.deepEqual(seenIn(answers.join('\n'), handedOut), []);
  });

  it('stand in no column of the database', async () => {
    const em = app.app.storage.fork();
    const tables = await em.execute<{ name: string }[]>("select name from sqlite_master where type = 'table'");
    assert.ok(tables.length > 10);
    for (const { name } of tables) {
      const rows = await em.execute<object[]>(`select * from "${name}"`);
      const text = rows
        .flatMap((row) => Object.values(row))
        .map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value)))
        .join('\n');
      assert.deepEqual(seenIn(text), [], name);
    }
  });

  it('stand in no file of the data folder', () => {
    const files = globSync('**/*', { cwd: app.dataDir }).filter((file) => statSync(`${app.dataDir}/${file}`).isFile());
    assert.ok(files.some((file) => file.endsWith('.sqlite')));
    for (const file of files) assert.deepEqual(seenIn(readFileSync(`${app.dataDir}/${file}`, 'latin1')), [], file);
  });
});
