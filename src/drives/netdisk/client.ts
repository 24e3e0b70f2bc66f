import { z } from 'zod';
import type { Transport } from '../../transport/outbound.ts';
import type { AnswerKind, OutboundRequest } from '../../transport/request.ts';
import type { CloudParts } from '../cloud.ts';
import type { CallContext, DriveAccount, DriveEntry } from '../driver.ts';
import { classify, netdiskError, notFound, PROVIDER, TITLE } from './errors.ts';
import { checkedRef, entryOf, nameOf, parentOf, ROOT_REF } from './paths.ts';

/** What other people's software on somebody's own machine can be asked at one time. */
const RATES = { search: { concurrent: 4 }, change: { concurrent: 2 }, bytes: { concurrent: 4 } };

/** Where nothing is found there may be no list at all. */
const PATHS = z
  .array(z.string())
  .nullish()
  .transform((paths) => paths ?? []);
const FOUND = z.object({
  data: z.object({ file: PATHS, directory: PATHS }),
});

/** How the parts of the driver speak with one person's server. */
export class NetdiskClient {
  readonly account: DriveAccount;
  readonly now: () => Date;
  readonly #transport: Transport;

  constructor(account: DriveAccount, { outbound, tokensOf, clock }: CloudParts) {
    this.account = account;
    this.now = () => clock.now();
    this.#transport = outbound.transport({
      provider: PROVIDER,
      title: TITLE,
      accountId: account.id,
      classify,
      // A person typed it: it is no trusted origin, and private addresses are OUTBOUND_ALLOW_CIDRS' to allow.
      baseUrl: account.settings.baseUrl ?? '',
      credentials: {
        tokens: tokensOf({ id: account.id, provider: PROVIDER }),
        // The token alone: no scheme before it.
        authorize: (request, token) => ({ ...request, headers: { ...request.headers, authorization: token } }),
      },
      rates: RATES,
    });
  }

  send<Kind extends AnswerKind>(
    request: Omit<OutboundRequest<Kind>, 'auth' | 'signal' | 'priority'>,
    { signal, priority }: CallContext,
  ) {
    const context = { auth: true, signal, ...(priority ? { priority } : {}) } as const;
    return this.#transport.send<Kind>({ ...request, ...context } as OutboundRequest<Kind>);
  }

  /** What the server finds by a name, below a folder and at any depth. How names match is its own. */
  async search(name: string, folderRef: string, call: CallContext): Promise<readonly DriveEntry[]> {
    const { body } = await this.send(
      {
        method: 'GET',
        url: '/api/searchFile',
        // No start means the top.
        query: { name, destination: folderRef === ROOT_REF ? null : folderRef },
        endpoint: 'search',
        as: 'json',
        idempotent: true,
        shareable: true,
      },
      call,
    );
    const { file, directory } = parsed(FOUND, body).data;
    return [...directory.map((path) => entryOf(path, 'FOLDER')), ...file.map((path) => entryOf(path, 'FILE'))];
  }

  /** The entry at a path, by searching for its name where it would be; null when there is none. */
  async find(ref: string, call: CallContext): Promise<DriveEntry | null> {
    if (ref === ROOT_REF) return entryOf(ROOT_REF, 'FOLDER');
    const found = await this.search(nameOf(ref), parentOf(ref), call);
    return found.find((entry) => entry.ref === ref) ?? null;
  }

  /** @throws DriveError `not_found` */
  async entry(ref: string, call: CallContext): Promise<DriveEntry> {
    const entry = await this.find(checkedRef(ref), call);
    if (!entry) throw notFound();
    return entry;
  }

  /** @throws DriveError `not_found`, or `wrong_kind` for a file. */
  async folder(ref: string, call: CallContext): Promise<DriveEntry> {
    const entry = await this.entry(ref, call);
    if (entry.kind === 'FOLDER') return entry;
    throw netdiskError('wrong_kind', 'has a file there, not a folder.');
  }

  /** @throws DriveError `not_found`, or `wrong_kind` for a folder. */
  async file(ref: string, call: CallContext): Promise<DriveEntry> {
    const entry = await this.entry(ref, call);
    if (entry.kind === 'FILE') return entry;
    throw netdiskError('wrong_kind', 'has a folder there, which has no bytes.');
  }
}

/** What was expected; an answer without it is as good as none. */
export function parsed<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const { data, success, error } = schema.safeParse(body);
  if (success) return data;
  throw netdiskError('unavailable', 'gave an answer that lacks what was asked for.', { cause: error });
}
