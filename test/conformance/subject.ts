import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import type { Ability } from '../../src/drives/abilities.ts';
import type { SliceReceipt, UploadPlan, UploadSession } from '../../src/drives/contract/upload.ts';
import type {
  CallContext,
  ConflictPolicy,
  DriveEntry,
  Driver,
  Hashes,
  Page,
  PageRequest,
} from '../../src/drives/driver.ts';
import { DriveError, type DriveErrorCategory } from '../../src/drives/errors.ts';
import type { Drive } from '../../src/drives/open.ts';
import type { Operation, OperationArgs, OperationResult } from '../../src/drives/operations.ts';
import type { OpenFixture, Quirk } from '../../src/drives/shared/fixture.ts';

/** A call that nobody ends. */
export const call: CallContext = { signal: new AbortController().signal };
export const FIRST_PAGE: PageRequest = { cursor: null, limit: 100 };

/** One drive under test, and short ways to do with it what the tests are not about. */
export class Subject {
  readonly fixture: OpenFixture;
  readonly drive: Drive;
  readonly driver: Driver;
  #folders = 0;

  constructor(fixture: OpenFixture) {
    this.fixture = fixture;
    this.drive = fixture.drive;
    this.driver = fixture.drive.driver;
  }

  /** For the `skip` option of a test: false when the drive has all of these abilities, else the printed reason. */
  lacks(...abilities: readonly Ability[]): string | false {
    const missing = abilities.filter((ability) => !this.drive.abilities.has(ability));
    return missing.length === 0 ? false : `this drive has no ${missing.join(', ')}`;
  }

  is(quirk: Quirk): boolean {
    return this.fixture.quirks?.has(quirk) ?? false;
  }

  run<Path extends Operation>(operation: Path, ...args: OperationArgs<Path>): OperationResult<Path> {
    return this.drive.run(operation, ...args);
  }

  /** A new folder, for one test alone. */
  newFolder(parentRef = this.driver.rootRef): Promise<DriveEntry> {
    this.#folders += 1;
    return this.run('createFolder', parentRef, `test ${this.#folders}`, call);
  }

  plan(parentRef: string, name: string, bytes: Uint8Array, more: Partial<UploadPlan> = {}): UploadPlan {
    return {
      parentRef,
      name,
      sizeBytes: bytes.byteLength,
      hashes: hashesOf(bytes, this.driver.capabilities.hashes),
      onConflict: 'FAIL',
      readSource: async ({ start, length }) => bytes.subarray(start, start + length),
      ...more,
    };
  }

  /** A file, by whichever way the drive takes bytes. */
  async put(
    parentRef: string,
    name: string,
    content: Uint8Array | string = `content of ${name}`,
    onConflict: ConflictPolicy = 'FAIL',
  ): Promise<DriveEntry> {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    const plan = this.plan(parentRef, name, bytes, { onConflict });
    if (!this.driver.upload && this.fixture.spool)
      return this.run('adopt', plan, await this.fixture.spool(bytes), call);
    const begun = await this.run('upload.begin', plan, call);
    if ('instant' in begun) return begun.instant;
    return this.run('upload.complete', plan, begun.session, await this.putSlices(plan, begun.session, bytes), call);
  }

  async putSlices(
    plan: UploadPlan,
    session: UploadSession,
    bytes: Uint8Array,
    indexes = Array.from({ length: session.sliceCount }, (_, index) => index),
  ): Promise<SliceReceipt[]> {
    const receipts: SliceReceipt[] = [];
    for (const index of indexes) {
      const slice = bytes.subarray(index * session.sliceBytes, (index + 1) * session.sliceBytes);
      receipts.push(await this.run('upload.putSlice', plan, session, index, slice, call));
    }
    return receipts;
  }

  /** Begins an upload that has to send its bytes. */
  async begin(plan: UploadPlan): Promise<UploadSession> {
    const begun = await this.run('upload.begin', plan, call);
    assert.ok('session' in begun, 'the bytes are new to the drive, so they must be sent');
    return begun.session;
  }

  /** The names in a folder, over all pages. */
  async names(folderRef: string): Promise<string[]> {
    const { list } = this.driver;
    if (!list) return [...((await this.fixture.namesIn?.(folderRef)) ?? assert.fail('the fixture tells the names'))];
    const entries = await everyItem((page) => list(folderRef, {}, page, call), 50);
    return entries.map(({ name }) => name);
  }

  /** The names in a folder that have a text in them, as the provider tells them by what it has. */
  async seen(folderRef: string, query: string): Promise<string[]> {
    if (this.driver.list) return (await this.names(folderRef)).filter((name) => name.includes(query));
    const found = await this.run('searchByName', { query, folderRef }, FIRST_PAGE, call);
    return found.items.map(({ name }) => name);
  }

  /** Has the provider asked for something that changes nothing: a list where there is one, else a search. */
  look(context = call): Promise<Page<DriveEntry>> {
    const { driver } = this;
    if (driver.list) return driver.list(driver.rootRef, {}, FIRST_PAGE, context);
    return this.run('searchByName', { query: 'anything' }, FIRST_PAGE, context);
  }

  async content(ref: string, start?: number, end: number | null = null): Promise<Buffer> {
    const stream = await this.driver.read(ref, start === undefined ? null : { start, end }, call);
    return Buffer.concat(await stream.toArray());
  }
}

/** The items of all pages, as one reads them one after the other. */
export async function everyItem<Item>(
  read: (page: PageRequest) => Promise<Page<Item>>,
  limit: number,
): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  for (let pages = 0; ; pages += 1) {
    assert.ok(pages < 1000, 'a listing ends');
    const page: Page<Item> = await read({ cursor, limit });
    assert.ok(page.items.length <= limit, `a page of ${limit} holds no more`);
    items.push(...page.items);
    if (page.nextCursor === null) return items;
    cursor = page.nextCursor;
  }
}

/** Waits for the failure of an act, and says what it was. */
export async function failure(act: Promise<unknown>, category: DriveErrorCategory): Promise<DriveError> {
  const error = await act.then(
    (value) => assert.fail(`expected ${category}, got ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof DriveError, `every failure of a drive is a DriveError, not ${error}`);
  assert.equal(error.category, category, error.message);
  assert.notEqual(error.message, '');
  assert.ok(error.operation, 'an error says which act failed');
  return error;
}

/** Bytes that look random and are the same for the same seed. */
export function bytesOf(length: number, seed: string): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

const DIGESTS = { MD5: 'md5', SHA1: 'sha1', SHA256: 'sha256' } as const;

function hashesOf(bytes: Uint8Array, algorithms: readonly string[]): Hashes {
  const known = (Object.keys(DIGESTS) as (keyof typeof DIGESTS)[]).filter((name) => algorithms.includes(name));
  return Object.fromEntries(known.map((name) => [name, createHash(DIGESTS[name]).update(bytes).digest('hex')]));
}
