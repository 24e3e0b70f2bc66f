import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startTestApp, type TestApp } from './support/app.ts';
import { putFile } from './support/files.ts';
import { type Person, registerUser } from './support/people.ts';
import { openSse, type Result } from './support/transports.ts';
import { control, startUpload, uploadText } from './support/uploads.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/**
 * What happened to projects like this one (their advisories), and the tests that hold it here: file and words of the
 * test's name. A test that is renamed or removed fails this one; what has no file of its own is below.
 */
const THREATS: Readonly<Record<string, readonly (readonly [file: string, words: string])[]>> = {
  'T1 names and paths in batches lead out of the folder': [
    ['test/graph/names.test.ts', 'names and paths from clients'],
    ['test/graph/renames.test.ts', 'T1: no name of a list leads out of its folder'],
    ['test/isolation.test.ts', "paths in another's account are as good as in an unknown one"],
    ['test/conformance/names.ts', '..'],
  ],
  'T2 a prefix without its separator': [['test/threats.test.ts', 'a folder is not the one whose name begins alike']],
  'T3 requests that the server makes for others': [
    ['src/transport/guard.test.ts', 'is refused before and at the connection'],
    ['src/transport/guard.test.ts', 'a name that changes its address'],
    ['src/transport/redirect.test.ts', 'a redirect to a private address is refused'],
    ['src/transport/remote-file.test.ts', 'is not followed'],
    ['src/transport/remote-file.test.ts', 'is this machine, in every spelling'],
    ['test/graph/url-uploads.test.ts', 'is no address to fetch from'],
  ],
  'T4 tries of a connection as such requests': [
    ['test/graph/rights.test.ts', 'is refused whatever needs more'],
    ['src/transport/guard.test.ts', 'an origin that the operator set is reached, and nothing else beside it'],
  ],
  'T5 a scope that is not asked for': [
    ['test/graph/rights.test.ts', 'alone is refused whatever needs more'],
    ['test/graph/rights.test.ts', 'every field that leads on from an object asks for READ'],
    ['test/server/tus.test.ts', 'nothing with a right to read only'],
  ],
  'T6 subscriptions tell more than may be seen': [
    ['test/threats.test.ts', 'whatever one user does, another who listens hears nothing'],
    ['test/graph/changes.test.ts', 'are no longer told once the right ended'],
    ['test/graph/transfers.test.ts', "shows nobody another user's transfers"],
    ['test/traps.test.ts', 'one buffer for all subscriptions gives events to the wrong user'],
  ],
  'T7 weak or default secrets': [
    ['src/vault/keyring.test.ts', 'stops the start in'],
    ['test/threats.test.ts', 'nothing secret is made by Math.random'],
  ],
  'T8 tokens that outlive logout, password and user': [
    ['test/graph/identity.test.ts', 'here ends this session alone, at once'],
    ['test/graph/identity.test.ts', 'that was used before ends the session, for the thief and the owner'],
    ['test/graph/passwords.test.ts', 'ends all sessions and keys'],
    ['test/graph/users.test.ts', 'a disabled user is out at once'],
    ['test/server/sse.test.ts', 'the end of the session ends the stream'],
    ['test/server/websocket.test.ts', 'revocation closes the sockets of that grant'],
    ['test/server/tus.test.ts', 'ends with the session or key that began it'],
    ['test/graph/downloads.test.ts', 'a ticket ends with the session that asked for it'],
  ],
  'T9 keys of links are guessed, or told': [
    ['test/graph/direct-links.test.ts', 'wrong keys are limited for each address'],
    ['test/graph/direct-links.test.ts', 'a guesser with many addresses is limited too'],
    ['test/graph/direct-links.test.ts', 'no key and no token of a link stands in the log or the database'],
  ],
  'T10 links that outlive the right to them, or their file': [
    ['test/graph/direct-links.test.ts', 'a link is bound to the file'],
    ['test/graph/direct-links.test.ts', 'a link is dead while its maker is disabled'],
  ],
  'T11 ways out of a public link': [
    ['test/graph/direct-links.test.ts', 'what is no token of ours is 404, whatever it looks like'],
    ['test/graph/downloads.test.ts', 'tokens that are none are 404, whatever they look like'],
    ['src/storage/blobs/store.test.ts', 'leaves files alone that are not the store’s'],
    ['src/transfers/server-files.test.ts', 'between check and opening leads nowhere'],
  ],
  'T12 files that run in the browser': [
    ['test/server/active-content.test.ts', 'runs nothing'],
    ['src/server/send-file.test.ts', 'is sandboxed and not sniffed, shown or saved'],
    ['src/server/send-file.test.ts', 'a name of any script arrives whole, and cannot break the header'],
  ],
  'T13 edges of the upload protocol': [
    ['test/server/tus.test.ts', 'refuses an offset that is no number'],
    ['test/server/tus.test.ts', 'refuses a length that is no number of bytes, or too many'],
    ['test/server/tus.test.ts', 'does not delete what is finished'],
    ['test/server/tus.test.ts', 'does not know uploads of other names'],
    ['test/server/tus.test.ts', 'holds many idle uploads at once'],
  ],
  'T14 pictures and archives that unfold': [['test/threats.test.ts', 'no file of a user is decoded or unpacked']],
  'T15 credentials that are passed on or logged': [
    ['test/canaries.test.ts', 'stand in no line of the log'],
    ['src/transport/redirect.test.ts', 'only named headers go to another origin'],
    ['src/transport/remote-file.test.ts', 'what came by https is not sent on to http'],
    ['test/graph/url-uploads.test.ts', 'keep what stands in their address to themselves'],
    ['src/transport/outbound.test.ts', 'nothing secret is in a log line, a measurement or an error'],
  ],
  'T16 certificates that are not looked at': [
    ['src/transport/guard.test.ts', 'a certificate that nobody trusted has signed is refused'],
    ['src/services/mail.test.ts', 'a certificate that nobody vouches for is refused'],
  ],
  'T17 calls without signing in': [
    ['test/graph/rights.test.ts', 'without a token every other field is UNAUTHENTICATED'],
    ['test/graph/rights.test.ts', 'the fields that are open to everybody are these alone'],
    ['test/graph/rights.test.ts', 'a token that is none of ours is no token'],
  ],
  'T18 who is a user, told by answers and times': [
    ['test/graph/identity.test.ts', 'an unknown user and a wrong password get the same answer'],
    ['src/services/identity/passwords.test.ts', 'finds nobody right, whatever the password'],
    ['test/threats.test.ts', 'a sign-in costs one hash, whether the user is there or not'],
    ['test/graph/passwords.test.ts', 'does not tell whether anybody has the address'],
    ['test/graph/passwords.test.ts', 'answers before it looks for the user'],
    ['test/graph/passwords.test.ts', 'with one code makes the other codes worthless'],
  ],
  'T19 names that look alike': [
    ['test/graph/identity.test.ts', 'a name or address that looks like one that is taken is taken'],
    ['src/services/identity/names.test.ts', 'two usernames are one'],
  ],
  'T20 signing in to use up the processor': [
    ['test/graph/guessing.test.ts', '500 who sign in at the same moment are served or refused soon'],
    ['src/services/identity/passwords.test.ts', 'of 500 callers at once it serves those whom it can soon'],
  ],
  'T21 forged answers of a provider': [['test/graph/linking.test.ts', 'state']],
  'T22 counters that are raced past': [
    ['test/graph/downloads.test.ts', 'a hundred tickets at once at a limit of ten are exactly ten'],
    ['src/services/allowance.test.ts', 'a hundred charges at once at a limit of ten are exactly ten'],
    ['src/services/throttle.test.ts', 'gives exactly what it has to parallel guesses'],
  ],
  'T23 what GraphQL multiplies': [
    ['test/server/limits.test.ts', 'aliases: guesses cannot be multiplied in one document'],
    ['test/server/limits.test.ts', 'complexity: what stands below a page counts once for each of its items'],
    ['test/graph/guessing.test.ts', 'by many fields of one document counts each field'],
    ['test/server/errors.test.ts', "'a batch'"],
    ['test/server/errors.test.ts', "'a URL-encoded form'"],
    ['test/server/limits.test.ts', 'when it is off, no error tells the names that it hides'],
    ['test/server/sse.test.ts', 'a hundred streams that come and go leave nothing open'],
  ],
  'T24 what comes with the packages': [
    ['test/threats.test.ts', 'only packages that are named may run something when they are installed'],
    ['test/imports.test.ts', 'are pinned to one version each'],
  ],
  'T25 failures that tell too much': [
    ['test/server/errors.test.ts', 'and no secret'],
    ['test/server/process.test.ts', 'explains a start that fails'],
  ],
  'T26 being locked out by others': [
    ['test/graph/guessing.test.ts', 'from many addresses slows strangers down, but locks nobody out'],
    ['test/graph/guessing.test.ts', 'an address that the client writes itself buys no budget without a trusted proxy'],
    ['test/graph/passwords.test.ts', 'is limited for who asks, not for the one it is asked for'],
    ['test/graph/direct-links.test.ts', 'elsewhere it opens'],
  ],
};

describe('threats', () => {
  it('are those of the list, each with a test', () => {
    const numbers = Object.keys(THREATS).map((name) => Number(/^T(\d+) /.exec(name)?.[1]));
    assert.deepEqual(
      numbers,
      Array.from({ length: 26 }, (_, index) => index + 1),
    );
  });

  for (const [threat, tests] of Object.entries(THREATS)) {
    it(threat, () => {
      assert.notEqual(tests.length, 0);
      for (const [file, words] of tests) {
        // In this file the words stand in the table as well.
        const times = read(file).split(words).length - 1;
        assert.ok(times > (file === 'test/threats.test.ts' ? 1 : 0), `no test of “${words}” is in ${file}`);
      }
    });
  }

  it('T7: nothing secret is made by Math.random', () => {
    const using = globSync('src/**/*.ts', { cwd: ROOT }).filter(
      (file) => !file.endsWith('.test.ts') && /Math\.random/.test(read(file)),
    );
    // Waits are spread by it, and nothing else.
    assert.deepEqual(
      using.filter((file) => !/(events\/link|transfers\/endings)\.ts$/.test(file)),
      [],
    );
  });

  it('T14: no file of a user is decoded or unpacked: nothing here could', () => {
    const { dependencies } = JSON.parse(read('package.json'));
    const unpacking = /sharp|jimp|canvas|image|zip|yauzl|tar\b|unrar|7z|ffmpeg|exif/i;
    assert.deepEqual(
      Object.keys(dependencies).filter((name) => unpacking.test(name)),
      [],
    );
  });

  it('T24: only packages that are named may run something when they are installed', () => {
    const { allowScripts } = JSON.parse(read('package.json'));
    const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, object> };
    const running = Object.entries(packages)
      .filter(([, one]) => 'hasInstallScript' in one)
      .map(([path]) => path.split('node_modules/').at(-1));
    assert.deepEqual(
      running.filter((name) => !(name !== undefined && name in allowScripts)),
      [],
    );
    for (const [path, one] of Object.entries(packages)) {
      const { resolved } = one as { resolved?: string };
      assert.match(resolved ?? 'https://registry.npmjs.org/', /^https:\/\/registry\.npmjs\.org\//, path);
    }
  });
});

describe('threats that need two users', { timeout: 120_000 }, () => {
  let app: TestApp;
  let owner: Person;
  let other: Person;
  before(async () => {
    app = await startTestApp();
    await registerUser(app); // The administrator.
    owner = await registerUser(app);
    other = await registerUser(app);
  });
  after(() => app.close());

  // biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
  const change = async (person: Person, mutation: string, type: string, input: object, payload = ''): Promise<any> => {
    const document = `mutation ($input: ${type}!) { result: ${mutation}(input: $input) { __typename ${payload} ... on UserError { code message } } }`;
    const { data, errors } = await app.graphql(document, { input }, person.token);
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.match(data.result.__typename, /Payload$/, JSON.stringify(data.result));
    return data.result;
  };
  const at = (person: Person, path: string) => ({ path: { accountId: person.accountId, path } });
  const folder = async (person: Person, name: string, parent = '/'): Promise<string> =>
    (
      await change(
        person,
        'createFolder',
        'CreateFolderInput',
        { parent: at(person, parent), name },
        '... on CreateFolderPayload { folder { id } }',
      )
    ).folder.id;

  it('T2: a folder is not the one whose name begins alike, in lists and searches below it', async () => {
    const [team, teams] = [await folder(owner, 'team'), await folder(owner, 'team-two')];
    await folder(owner, 'ours', '/team');
    await folder(owner, 'theirs', '/team-two');
    const ask = async (folderId: string) => {
      const { data, errors } = await app.graphql(
        `query ($folderId: ID!) {
          viewer { accounts { nodes { entries(recursive: true, folderId: $folderId) { nodes { path } } } } }
        }`,
        { folderId },
        owner.token,
      );
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data.viewer.accounts.nodes[0].entries.nodes.map(({ path }: { path: string }) => path);
    };
    assert.deepEqual([await ask(team), await ask(teams)], [['/team/ours'], ['/team-two/theirs']]);
  });

  it('T6: whatever one user does, another who listens hears nothing', async () => {
    const watched = await folder(other, 'watched');
    const listening: Readonly<Record<string, [query: string, variables: object]>> = {
      // Behind the first event: nothing of it is missed, whenever it begins.
      transferEvents: ['subscription { transferEvents(after: "0") { transfer { name } } }', {}],
      accountUpdated: [
        'subscription ($id: ID!) { accountUpdated(accountId: $id) { id label } }',
        { id: other.accountId },
      ],
      entryChanged: ['subscription ($id: ID!) { entryChanged(folderId: $id) { path } }', { id: watched }],
    };
    const streams = Object.entries(listening).map(
      ([name, [query, variables]]) => [name, openSse(app.url, { query, variables, token: other.token })] as const,
    );
    const next = async (stream: AsyncGenerator<Result>): Promise<string> => JSON.stringify((await stream.next()).value);
    const firsts = Promise.all(streams.filter(([name]) => name !== 'transferEvents').map(([, stream]) => next(stream)));
    await firsts;

    const made = await folder(owner, 'watched');
    const { transfer } = await startUpload(app, owner, { name: 'secret upload', size: 10 });
    await control(app, owner, 'pause', transfer.id);
    await control(app, owner, 'cancel', transfer.id);
    await uploadText(app, owner, { parent: { id: made }, name: 'secret text', content: 'x' });
    await putFile(app, owner, 'secret file', Buffer.from('x'));
    await change(owner, 'renameEntry', 'RenameEntryInput', { entry: { id: made }, name: 'secret folder' });
    await change(owner, 'updateAccount', 'UpdateAccountInput', { accountId: owner.accountId, label: 'secret label' });
    await change(owner, 'deleteEntries', 'DeleteEntriesInput', { entries: [{ id: made }] });

    // What is heard first is one's own: it would have come behind what the other did.
    await uploadText(app, other, { parent: { id: watched }, name: 'own', content: 'x' });
    await change(other, 'updateAccount', 'UpdateAccountInput', { accountId: other.accountId, label: 'own' });
    for (const [name, stream] of streams) {
      const heard = await next(stream);
      assert.match(heard, /own/, name);
      assert.doesNotMatch(heard, /secret/, name);
      await stream.return(undefined);
    }
  });

  it('T18: a sign-in costs one hash, whether the user is there or not', async (t) => {
    const { signIn, hasher } = app.app.services.identity;
    const verify = t.mock.method(hasher, 'verify');
    const client = { address: '192.0.2.1', userAgent: null };
    const names = [owner.username, 'nobody-at-all', 'nobody@example.org', 'x'.repeat(5_000), '\0', ''];
    for (const [index, username] of names.entries()) {
      await assert.rejects(signIn.login({ username, password: 'a wrong password' }, client));
      assert.equal(verify.mock.callCount(), index + 1, JSON.stringify(username.slice(0, 20)));
    }
  });
});
