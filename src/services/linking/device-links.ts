import { toDataURL } from 'qrcode';
import type { EventBus } from '../../events/bus.ts';
import { addMs, type Clock } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import { NotFoundError, PermissionDeniedError, RateLimitedError, UnsupportedError } from '../../lib/errors.ts';
import { isRowId, newId } from '../../lib/ids.ts';
import type { Logger } from '../../lib/log.ts';
import { DeviceLink, type DeviceLinkState } from '../../storage/entities/linking.ts';
import type { Storage } from '../../storage/orm.ts';
import {
  credentialsOf,
  type PlainCredentials,
  plainOf,
  type StoredCredentials,
  type Vault,
  type VaultPlace,
} from '../../vault/vault.ts';
import type { Viewer } from '../viewer.ts';
import { type AccountLinker, isPassing, told } from './linker.ts';

export interface DeviceLinksParts {
  readonly storage: Storage;
  readonly vault: Vault;
  readonly linker: AccountLinker;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly log: Logger;
  /** How often due logins are looked for, in milliseconds. */
  readonly lookMs?: number;
}

const FINAL: ReadonlySet<DeviceLinkState> = new Set(['APPROVED', 'DENIED', 'EXPIRED']);
const LOOK_MS = 1_000;
/** A poll may take so long, and so may the look at whose account it is. */
const CALL_TIMEOUT_MS = 20_000;
/** A poll that did not end by then died with its process, and another one begins: more than both calls take. */
const CLAIM_MS = 60_000;
/** Logins of one user that may wait at a time: each is polled for minutes. */
const WAITING_MAX = 10;
/** Logins polled at once by one process. */
const POLLS_MAX = 8;
/** Logins are kept so long after their end, in milliseconds, for whoever asks by id. */
const KEPT_MS = 24 * 3_600_000;

/** Width of the picture: sharp on a phone that another phone scans. */
const QR_PIXELS = 384;

const WAITING: readonly DeviceLinkState[] = ['PENDING', 'SCANNED'];

/** What the row keeps sealed: what polling needs; then, as a provider gives them only once, the tokens until they are stored. */
type SealedState = { readonly poll: unknown } | { readonly granted: PlainCredentials };

const placeOf = (id: string): VaultPlace => ({ row: id, field: 'device_links.sealed_state' });

/** Logins by QR or user code: polled by whichever process is there, until their person confirms, refuses or is too late. */
export class DeviceLinks {
  readonly #parts: DeviceLinksParts;
  #timer: NodeJS.Timeout | null = null;
  /** Looks that go on: one provider that hangs does not keep the logins of others waiting. */
  readonly #looks = new Set<Promise<void>>();
  #polls = 0;
  readonly #closing = new AbortController();

  constructor(parts: DeviceLinksParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), this.#parts.lookMs ?? LOOK_MS).unref();
  }

  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    this.#closing.abort();
    await Promise.all(this.#looks);
  }

  /** @throws UnsupportedError, InvalidInputError, PermissionDeniedError, RateLimitedError, or what the provider said. */
  async begin(viewer: Viewer, input: Parameters<AccountLinker['target']>[1], signal: AbortSignal): Promise<DeviceLink> {
    const { linker, storage, clock } = this.#parts;
    const target = linker.target(viewer, input);
    const linking = linker.linkingOf(target.provider);
    if (!linking.startDevice) {
      throw new UnsupportedError(`${target.provider} has no sign-in by code: see Provider.linkMethods.`, null);
    }
    await this.#checkWaiting(viewer);
    const start = await told(linking.startDevice({ signal }), () => clock.now());
    const id = newId();
    const now = clock.now();
    const intervalMs = Math.ceil(start.intervalMs);
    return storage.transaction(async (em) =>
      em.create(DeviceLink, {
        ...start,
        id,
        userId: target.userId,
        provider: target.provider,
        label: target.label,
        shared: target.shared,
        state: 'PENDING',
        sealedState: this.#seal(id, { poll: start.state }),
        intervalMs,
        pollAt: addMs(now, intervalMs),
        accountId: null,
        createdAt: now,
      }),
    );
  }

  /** A picture of a QR code, as a data URI. */
  qrCode(content: string): Promise<string> {
    return toDataURL(content, { margin: 2, width: QR_PIXELS, errorCorrectionLevel: 'M' });
  }

  /** Null when there is none, or it is another's. */
  async find(viewer: Viewer, id: string): Promise<DeviceLink | null> {
    if (!isRowId(id)) return null;
    return this.#parts.storage
      .fork()
      .findOne(DeviceLink, { id, userId: viewer.userId }, { disableIdentityMap: true, connectionType: 'write' });
  }

  /** The login now, and after each change of its state; ends with the last one. @throws NotFoundError. */
  async *watch(viewer: Viewer, id: string, signal: AbortSignal): AsyncGenerator<DeviceLink> {
    const changes = this.#parts.events.subscribe('deviceLink.changed', {
      filter: ({ deviceLinkId }) => deviceLinkId === id,
      signal,
    });
    try {
      let shown: DeviceLinkState | null = null;
      for (;;) {
        const link = await this.find(viewer, id);
        if (!link) {
          if (shown === null) throw new NotFoundError('There is no such sign-in.');
          return;
        }
        if (link.state !== shown) yield link;
        shown = link.state;
        if (FINAL.has(link.state) || (await changes.next()).done) return;
      }
    } finally {
      await changes.return?.();
    }
  }

  /** Polls what is due; over when nothing is polled any more. Never rejects. */
  async look(): Promise<void> {
    const look = this.#pollDue()
      .catch((error) => this.#parts.log.error({ err: error }, 'sign-ins by code cannot be looked at'))
      .finally(() => this.#looks.delete(look));
    this.#looks.add(look);
    await Promise.all(this.#looks);
  }

  async sweep(): Promise<number> {
    const before = addMs(this.#parts.clock.now(), -KEPT_MS);
    return this.#parts.storage.fork().nativeDelete(DeviceLink, { expiresAt: { $lt: before } });
  }

  async #pollDue(): Promise<void> {
    const { storage, clock } = this.#parts;
    const now = clock.now();
    const limit = POLLS_MAX - this.#polls;
    if (limit <= 0) return;
    const due = await storage
      .fork()
      .find(
        DeviceLink,
        { state: { $in: WAITING }, pollAt: { $lte: now } },
        { orderBy: { pollAt: 'asc' }, limit, disableIdentityMap: true, connectionType: 'write' },
      );
    this.#polls += due.length;
    try {
      await Promise.all(due.map((link) => this.#poll(link, now)));
    } finally {
      this.#polls -= due.length;
    }
  }

  async #poll(link: DeviceLink, now: Date): Promise<void> {
    const { storage, log } = this.#parts;
    // Put off first: of several processes, the one whose statement changed the row polls.
    const claimed = await storage
      .fork()
      .nativeUpdate(DeviceLink, { id: link.id, pollAt: link.pollAt }, { pollAt: addMs(now, CLAIM_MS) });
    if (claimed !== 1) return;
    if (link.expiresAt <= now) return this.#change(link, { state: 'EXPIRED', sealedState: null });
    try {
      await this.#goOn(link);
    } catch (error) {
      if (this.#closing.signal.aborted) return this.#wait(link, 0); // The next process goes on.
      if (isPassing(error)) {
        log.warn({ err: error, deviceLinkId: link.id }, 'a sign-in by code is tried again');
        return this.#wait(link, link.intervalMs * 2);
      }
      log.warn({ err: error, deviceLinkId: link.id }, 'a sign-in by code failed');
      const denied =
        error instanceof PermissionDeniedError ||
        (error instanceof DriveError && error.category === 'permission_denied');
      return this.#change(link, { state: denied ? 'DENIED' : 'EXPIRED', sealedState: null });
    }
  }

  async #goOn(link: DeviceLink): Promise<void> {
    const { linker, vault } = this.#parts;
    const { pollDevice } = linker.linkingOf(link.provider);
    if (!pollDevice || !link.sealedState) return this.#change(link, { state: 'EXPIRED', sealedState: null });
    const sealed = vault.openJson(link.sealedState, placeOf(link.id)) as SealedState;
    if ('granted' in sealed) return this.#approve(link, credentialsOf(sealed.granted));
    const answer = await pollDevice(sealed.poll, { signal: this.#callSignal() });
    if (answer.outcome === 'APPROVED') {
      const credentials = { tokens: answer.tokens, secrets: {} };
      await this.#update(link, { sealedState: this.#seal(link.id, { granted: plainOf(credentials) }) });
      return this.#approve(link, credentials);
    }
    if (answer.outcome === 'DENIED' || answer.outcome === 'EXPIRED') {
      return this.#change(link, { state: answer.outcome, sealedState: null });
    }
    const intervalMs = Math.ceil(answer.intervalMs ?? link.intervalMs);
    const next = {
      ...(answer.state === undefined ? {} : { sealedState: this.#seal(link.id, { poll: answer.state }) }),
      intervalMs,
      pollAt: addMs(this.#parts.clock.now(), intervalMs),
    };
    if (answer.outcome === link.state) await this.#update(link, next);
    else await this.#change(link, { ...next, state: answer.outcome });
  }

  async #approve(link: DeviceLink, credentials: StoredCredentials): Promise<void> {
    const target = { ...link, label: link.label ?? null, accountId: null };
    const account = await this.#parts.linker.link(target, credentials, {}, { signal: this.#callSignal() });
    return this.#change(link, { state: 'APPROVED', sealedState: null, accountId: account.id });
  }

  async #checkWaiting(viewer: Viewer): Promise<void> {
    const { storage, clock } = this.#parts;
    const waiting = { userId: viewer.userId, state: { $in: WAITING }, expiresAt: { $gt: clock.now() } };
    if ((await storage.fork().count(DeviceLink, waiting)) < WAITING_MAX) return;
    throw new RateLimitedError('Too many sign-ins by code wait already. Confirm one of them, or let them expire.');
  }

  #seal(id: string, state: SealedState): string {
    return this.#parts.vault.sealJson(state, placeOf(id));
  }

  #wait(link: DeviceLink, delayMs: number): Promise<void> {
    return this.#update(link, { pollAt: addMs(this.#parts.clock.now(), delayMs) });
  }

  async #update(link: DeviceLink, changes: Partial<DeviceLink>): Promise<void> {
    await this.#parts.storage.fork().nativeUpdate(DeviceLink, { id: link.id }, changes);
  }

  async #change(link: DeviceLink, changes: Partial<DeviceLink>): Promise<void> {
    await this.#update(link, changes);
    await this.#parts.events.publish('deviceLink.changed', { deviceLinkId: link.id });
  }

  #callSignal(): AbortSignal {
    return AbortSignal.any([this.#closing.signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
  }
}
