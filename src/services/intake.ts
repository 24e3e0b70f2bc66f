import type { ConflictPolicy } from '../drives/driver.ts';
import { addMs, type Clock } from '../lib/clock.ts';
import { InvalidInputError } from '../lib/errors.ts';
import { nameInUrl } from '../lib/names.ts';
import type { TransferWorks } from '../transfers/open.ts';
import type { ServerFiles } from '../transfers/server-files.ts';
import { STATE_DEADLINES_MS } from '../transfers/states.ts';
import { type Address, nameOf } from '../transfers/url-source.ts';
import type { Audit } from './audit.ts';
import type { EntryTarget } from './entries.ts';
import type { SealedAddresses } from './sealed-addresses.ts';
import type { Transfers, TransferView } from './transfers.ts';
import type { Placing, UploadPlanner } from './upload-planner.ts';
import { requireAdmin, type Viewer } from './viewer.ts';

/** Longest address, in characters: as the longest that common servers take. */
export const URL_LENGTH_MAX = 8_192;

interface NewFile {
  readonly parent: EntryTarget;
  /** Null: as the source calls it. */
  readonly name?: string | null | undefined;
  readonly onConflict?: ConflictPolicy | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
}

export interface UrlUpload extends NewFile {
  readonly url: string;
}

export interface ServerFileImport extends NewFile {
  /** Absolute, on the machine of the server. */
  readonly path: string;
}

export interface IntakeParts {
  readonly clock: Clock;
  readonly works: TransferWorks;
  readonly transfers: Transfers;
  readonly planner: UploadPlanner;
  readonly addresses: SealedAddresses;
  readonly audit: Audit;
  readonly serverFiles: ServerFiles;
  /** Why an address cannot be fetched; null: it may be tried. */
  readonly urlFault: (url: string) => string | null;
}

/** Files that the server itself goes and gets: from addresses, and from its own folders. */
export class Intake {
  readonly #parts: IntakeParts;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /**
   * Begins to fetch the file at an address into a folder.
   * @throws InvalidInputError, also for an address that is not public; NotFoundError (parent), AlreadyExistsError (by the
   * policy), UnsupportedError, ConflictError; what the drive throws.
   */
  async fromUrl(viewer: Viewer, input: UrlUpload): Promise<TransferView> {
    return this.#parts.transfers.get(viewer, await this.queueUrl(viewer, input));
  }

  /** As {@link fromUrl}; gives the id of the transfer. */
  async queueUrl(viewer: Viewer, input: UrlUpload, placing: Placing = {}): Promise<string> {
    const { url } = input;
    this.checkUrl(url);
    const { idempotencyKey: key, ...asked } = input;
    const request = { operation: 'uploadFromUrl', key, input: asked };
    const make = (id: string): Promise<void> => this.fetch(viewer, id, input, { url, headers: {} }, placing);
    return this.#parts.planner.once(viewer, request, make, placing);
  }

  /** @throws InvalidInputError for what is no address of a file that may be fetched. */
  checkUrl(url: string): void {
    if (url.length > URL_LENGTH_MAX)
      throw InvalidInputError.at('input.url', `must be at most ${URL_LENGTH_MAX} characters`);
    // Of other spellings that a parser still understands it is not sure that everybody understands the same.
    const isPlain = /^https?:\/\/[^/\\\s]/i.test(url);
    const fault = this.#parts.urlFault(url) ?? (isPlain ? null : 'must begin with http:// or https://');
    if (fault !== null) throw InvalidInputError.at('input.url', fault);
  }

  /** Makes the transfer of this id, which fetches. The address has been looked at; it is kept sealed. */
  async fetch(viewer: Viewer, id: string, file: NewFile, address: Address, placing: Placing = {}): Promise<void> {
    const { works, planner, addresses } = this.#parts;
    const name = file.name ?? null;
    const { parent, onConflict } = file;
    const wanted = { parent, name, provisionalName: nameOf([nameInUrl(address.url) ?? ''], null), onConflict };
    const plan = await planner.plan(viewer, { ...placing, id, kind: 'URL' }, { ...wanted, sizeBytes: null });
    if (await planner.isSkipped(plan)) return;
    await works.store.create({
      ...plan.row,
      ...this.#waiting(),
      source: { type: 'url', named: name !== null },
      sealedSource: addresses.seal(id, address),
    });
  }

  /**
   * Begins to copy a file of this machine into a folder. For administrators, from the folders that the operator named.
   * @throws PermissionDeniedError, InvalidInputError, NotFoundError; as {@link fromUrl}.
   */
  async fromServer(viewer: Viewer, input: ServerFileImport): Promise<TransferView> {
    return this.#parts.transfers.get(viewer, await this.queueServerFile(viewer, input));
  }

  /** As {@link fromServer}; gives the id of the transfer. */
  async queueServerFile(viewer: Viewer, input: ServerFileImport, placing: Placing = {}): Promise<string> {
    requireAdmin(viewer);
    const { idempotencyKey: key, ...asked } = input;
    const request = { operation: 'importServerFile', key, input: asked };
    return this.#parts.planner.once(viewer, request, (id) => this.#import(viewer, id, input, placing), placing);
  }

  async #import(viewer: Viewer, id: string, input: ServerFileImport, placing: Placing): Promise<void> {
    const { works, planner, audit, serverFiles } = this.#parts;
    const file = await serverFiles.open(input.path);
    await file.close(); // Read by a worker, perhaps of another process, which looks at the path anew.
    const { sizeBytes } = file;
    const { parent, onConflict, path } = input;
    const name = input.name ?? nameOf([path], null);
    const plan = await planner.plan(
      viewer,
      { ...placing, id, kind: 'IMPORT' },
      { parent, onConflict, name, sizeBytes },
    );
    if (await planner.isSkipped(plan)) return;
    await planner.checkRoom(sizeBytes);
    const { userId, accountId } = plan.row;
    await audit.record({ userId, action: 'serverFile.import', accountId, detail: { path, transferId: id } });
    await works.store.create({
      ...plan.row,
      ...this.#waiting(),
      source: { type: 'file', path },
    });
  }

  #waiting() {
    const expiresAt = addMs(this.#parts.clock.now(), STATE_DEADLINES_MS.QUEUED);
    return { state: 'QUEUED', phase: 'RECEIVING', expiresAt } as const;
  }
}
