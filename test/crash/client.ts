import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { type KilledServer, type Killer, RETRY_MS } from './killed-server.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read answers freely.
export type Answer = any;

export const ERROR = '... on UserError { code message retryable }';
export const TRANSFER = `transfer { id state error { ${ERROR} } }`;

/** A client of a server that may be dead at any moment: it asks until there is an answer. */
export class Client {
  /** Requests that met a dead server. */
  broken = 0;
  /** Told of each request that changes something, and kills before or after it. */
  killer: Pick<Killer, 'strike' | 'kill'> | null = null;
  /** Nobody waits for answers any more. */
  isClosed = false;
  readonly #server: KilledServer;
  readonly #accounts = new Map<string, string>();
  #token = '';

  constructor(server: KilledServer) {
    this.#server = server;
  }

  /** The drives that it has linked, by provider. */
  get drives(): readonly string[] {
    return [...this.#accounts.keys()];
  }

  async register(): Promise<void> {
    const { register } =
      await this.query(`mutation { register(input: { username: "crash", password: "a long enough secret" }) {
      ... on RegisterPayload { session { accessToken } user { accounts(first: 1) { nodes { id } } } } } }`);
    this.#token = register.session.accessToken;
    this.#accounts.set('LOCAL', register.user.accounts.nodes[0].id);
  }

  /** @param mutation That links its account, as `linked`. */
  async link(provider: string, mutation: string): Promise<void> {
    const { linked } = await this.query(mutation);
    assert.ok(linked.account, JSON.stringify(linked));
    this.#accounts.set(provider, linked.account.id);
  }

  at(drive: string, path: string): object {
    return { path: { accountId: this.#accounts.get(drive), path } };
  }

  async folder(drive: string, path: string, name: string): Promise<void> {
    const made = await this.ask('createFolder', { parent: this.at(drive, path), name }, 'folder { id }');
    assert.ok(made.folder || made.code === 'ALREADY_EXISTS', JSON.stringify(made));
  }

  /** Puts a file into the built-in drive, with the folders above it. */
  async put(path: string, bytes: Buffer): Promise<void> {
    const names = path.split('/').slice(1);
    for (const [index, name] of names.slice(0, -1).entries()) {
      await this.folder('LOCAL', `/${names.slice(0, index).join('/')}`, name);
    }
    const parent = this.at('LOCAL', `/${names.slice(0, -1).join('/')}`);
    const input = { parent, name: names.at(-1), size: bytes.length };
    const started = await this.ask('startUpload', input, `uploadUrl ${TRANSFER}`);
    await this.send(started.uploadUrl, bytes);
    while ((await this.transfer(started.transfer.id)).state !== 'SUCCEEDED') await delay(RETRY_MS);
  }

  /** How it is with a transfer. */
  async transfer(id: string): Promise<Answer> {
    const query = `query ($id: ID!) { node(id: $id) { ... on Transfer { state error { ${ERROR} } } } }`;
    return (await this.query(query, { id })).node;
  }

  /** Sends bytes by tus, behind what is there already. */
  async send(url: string, bytes: Buffer): Promise<void> {
    const headers = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' };
    const chunk = Math.max(1, Math.ceil(bytes.length / 3));
    for (;;) {
      const told = await this.#try(url, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });
      if (told?.status === 404 || told?.status === 410) return; // Given up, cleanly: the transfer tells why.
      const offset = Number(told?.headers.get('upload-offset') ?? Number.NaN);
      if (offset === bytes.length) return;
      if (Number.isNaN(offset)) continue;
      const body = new Uint8Array(bytes.subarray(offset, offset + chunk));
      const patch = { method: 'PATCH', headers: { ...headers, 'upload-offset': String(offset) }, body };
      await this.#step('client PATCH', () => this.#try(url, patch));
    }
  }

  /** The names in a folder. */
  async names(drive: string, path: string): Promise<string[]> {
    const names: string[] = [];
    for (let after: string | null = null; ; ) {
      const { entry } = await this.query(
        `query ($ref: EntryRef!, $after: String) { entry(ref: $ref) { ... on Folder { children(first: 100, after: $after) {
          nodes { name } pageInfo { hasNextPage endCursor } } } } }`,
        { ref: this.at(drive, path), after },
      );
      assert.ok(entry, `${drive} has no ${path}`);
      names.push(...entry.children.nodes.map(({ name }: Answer) => name));
      if (!entry.children.pageInfo.hasNextPage) return names;
      after = entry.children.pageInfo.endCursor;
    }
  }

  /** The bytes of a file, downloaded; null: there is none. */
  async bytesAt(drive: string, path: string): Promise<Buffer | null> {
    const { ticket } = await this.ask('createDownloadTicket', { file: this.at(drive, path) }, 'ticket { url }');
    return ticket ? Buffer.from(await (await fetch(ticket.url)).arrayBuffer()) : null;
  }

  async ask(mutation: string, input: object, payload: string): Promise<Answer> {
    const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}`;
    const query = `mutation ($input: ${type}Input!) { result: ${mutation}(input: $input) { ... on ${type}Payload { ${payload} } ${ERROR} } }`;
    return (await this.query(query, { input }, `client ${mutation}`)).result;
  }

  /** Asks until there is an answer. `step`: what it changes. */
  async query(query: string, variables: object = {}, step: string | null = null): Promise<Answer> {
    const headers = {
      'content-type': 'application/json',
      ...(this.#token ? { authorization: `Bearer ${this.#token}` } : {}),
    };
    for (;;) {
      const init = { method: 'POST', headers, body: JSON.stringify({ query, variables }) };
      const post = () => this.#try(`${this.#server.url}/graphql`, init);
      const response = await (step === null ? post() : this.#step(step, post));
      const answer = (await response?.json().catch(() => null)) as Answer;
      if (answer?.data && !answer.errors) return answer.data;
      const passing = answer?.errors?.every(({ extensions }: Answer) => extensions?.retryable === true);
      if (answer && !passing) assert.fail(`${query}: ${JSON.stringify(answer)}`);
      await delay(RETRY_MS);
    }
  }

  /** Sends a request that changes something; what is struck has no answer. */
  async #step(step: string, send: () => Promise<Response | null>): Promise<Response | null> {
    const strike = this.killer?.strike(step) ?? null;
    if (strike === null) return send();
    if (strike === 'after') await send();
    this.killer?.kill();
    this.broken += 1;
    return null;
  }

  async #try(url: string, init: RequestInit): Promise<Response | null> {
    if (this.isClosed) throw new Error('the run is over');
    try {
      return await fetch(url, init);
    } catch {
      this.broken += 1;
      await delay(RETRY_MS);
      return null; // The server died, or is not yet up.
    }
  }
}
