import assert from 'node:assert/strict';
import { local } from '../../src/drives/local/drive.ts';
import { Account } from '../../src/storage/entities/account.ts';
import { type GraphqlAnswer, startTestApp, type TestApp } from './app.ts';
import {
  type CloudPerson,
  type DeviceFlow,
  type LinkableCloud,
  POLL_INTERVAL_MS,
  startLinkableCloud,
} from './linkable-drive.ts';
import { ManualClock } from './manual-clock.ts';
import { type Person, registerUser } from './people.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
type Answer = any;

const ACCOUNT = 'account { id label status shared provider credentials { expiresAt refreshedAt masked } }';
export const DEVICE = `id provider state userCode verificationUrl qrCodeDataUri expiresAt ${ACCOUNT}`;
const ERROR = '... on UserError { code message retryable } ... on InvalidInputError { issues { path message } }';
const MUTATIONS = {
  startDeviceLink: `deviceLink { ${DEVICE} }`,
  startAuthorizationLink: 'authorizationUrl state',
  completeAuthorizationLink: ACCOUNT,
  linkWithCredentials: ACCOUNT,
  upsertAccountTokens: ACCOUNT,
  unlinkAccount: 'accountId',
  updateAccount: ACCOUNT,
} as const;

export const ada: CloudPerson = { id: 'ada-at-the-cloud', name: 'Ada' };
export const bob: CloudPerson = { id: 'bob-at-the-cloud', name: 'Bob' };

/** A server, a cloud whose accounts can be linked to it, and a person who does so. */
export class LinkingBench {
  readonly clock: ManualClock;
  readonly cloud: LinkableCloud;
  readonly app: TestApp;
  readonly admin: Person;
  /** The newest one. */
  person: Person;

  private constructor(clock: ManualClock, cloud: LinkableCloud, app: TestApp, admin: Person) {
    this.clock = clock;
    this.cloud = cloud;
    this.app = app;
    this.admin = admin;
    this.person = admin;
  }

  static async open(): Promise<LinkingBench> {
    const clock = new ManualClock();
    const cloud = await startLinkableCloud();
    const app = await startTestApp({ drives: [local, cloud.definition], clock });
    return new LinkingBench(clock, cloud, app, await registerUser(app));
  }

  async newPerson(): Promise<void> {
    this.person = await registerUser(this.app);
  }

  async close(): Promise<void> {
    await this.app.close();
    await this.cloud.close();
  }

  /** The member of a mutation's union; of a top-level error, its code. */
  async change(mutation: keyof typeof MUTATIONS, input: object, token = this.person.token): Promise<Answer> {
    const type = `${mutation[0]?.toUpperCase()}${mutation.slice(1)}`;
    const answer = await this.app.graphql(
      `mutation ($input: ${type}Input!) { result: ${mutation}(input: $input) {
         __typename ... on ${type}Payload { ${MUTATIONS[mutation]} } ${ERROR} } }`,
      { input },
      token,
    );
    return answer.data?.result ?? { code: answer.errors?.[0]?.extensions?.code, message: answer.errors?.[0]?.message };
  }

  query(document: string, variables: object, who = this.person): Promise<GraphqlAnswer<Answer>> {
    return this.app.graphql<Answer>(document, variables, who.token);
  }

  async deviceLink(id: string, who = this.person): Promise<Answer> {
    const { data } = await this.query(`query ($id: ID!) { deviceLink(id: $id) { ${DEVICE} } }`, { id }, who);
    return data.deviceLink;
  }

  /** The entries of an account: asks the cloud. */
  listOf(id: string, who = this.person): Promise<GraphqlAnswer<Answer>> {
    return this.query(
      'query ($id: ID!) { node(id: $id) { ... on CloudAccount { status root { children { nodes { name } } } } } }',
      { id },
      who,
    );
  }

  /** The person's rows. */
  rows(): Promise<Account[]> {
    return this.app.app.storage.fork().find(Account, { provider: 'BAIDU', ownerId: this.person.userId });
  }

  /** For `upsertAccountTokens`. */
  tokensOf(who: CloudPerson) {
    const { accessToken, refreshToken } = this.cloud.grantTo(who);
    return { provider: 'BAIDU', accessToken, refreshToken };
  }

  upsert(who: CloudPerson, more: object = {}, token = this.person.token): Promise<Answer> {
    return this.change('upsertAccountTokens', { ...this.tokensOf(who), ...more }, token);
  }

  async start(input: object = {}, who = this.person): Promise<{ link: Answer; flow: DeviceFlow }> {
    const answer = await this.change('startDeviceLink', { provider: 'BAIDU', ...input }, who.token);
    const flow = this.cloud.devices.at(-1);
    assert.ok(answer.deviceLink && flow, JSON.stringify(answer));
    return { link: answer.deviceLink, flow };
  }

  /** Lets time pass, then polls. */
  async pass(ms = POLL_INTERVAL_MS): Promise<void> {
    this.clock.advance(ms);
    await this.app.app.services.deviceLinks.look();
  }
}
