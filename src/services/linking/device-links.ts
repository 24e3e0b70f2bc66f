import { toDataURL } from 'qrcode';
import type { DevicePoll } from '../../drives/linking.ts';
import type { EventBus } from '../../events/bus.ts';
import { addMs, type Clock } from '../../lib/clock.ts';
import { DriveError } from '../../lib/drive-error.ts';
import { NotFoundError, UnsupportedError } from '../../lib/errors.ts';
import { isRowId, newId } from '../../lib/ids.ts';
import type { Logger } from '../../lib/log.ts';
import { DeviceLink, type DeviceLinkState } from '../../storage/entities/linking.ts';
import type { Storage } from '../../storage/orm.ts';
import type { Vault } from '../../vault/vault.ts';
import type { Viewer } from '../viewer.ts';
import { type AccountLinker, isPassing, type LinkTarget, told } from './linker.ts';

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
/** A poll that did not end by then is believed dead, and the login is polled again. */
const POLL_TIMEOUT_MS = 20_000;
/** Logins polled at once by one process. */
const POLLS_MAX = 8;
/** Logins are kept so long after their end, in milliseconds, for whoever asks by id. */
const KEPT_MS = 24 * 3_600_000;

/** Width of the picture: sharp on a phone that another phone scans. */
const QR_PIXELS = 384;

const placeOf = (id: string) => ({ row: id, field: 'device_links.sealed_state' });

/** Logins by QR or user code: polled by whichever process is there, until their person confirms, refuses or is too late. */
export class DeviceLinks {
  readonly #parts: DeviceLinksParts;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
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
    await this.#looking;
  }

  /** @throws UnsupportedError, PermissionDeniedError, DriveError. */
  async begin(viewer: Viewer, input: Parameters<AccountLinker['target']>[1], signal: AbortSignal): Promise<DeviceLink> {
    const { linker, storage, vault, clock } = this.#parts;
    const target = linker.target(viewer, input);
    const linking = linker.linkingOf(target.provider);
    if (!linking.startDevice) {
      throw new UnsupportedError(`${target.provider} has no sign-in by code: see Provider.linkMethods.`, null);
    }
    const start = await told(linking.startDevice({ signal }), () => clock.now());
    const id = newId();
    const now = clock.now();
    return storage.transaction(async (em) =>
      em.create(DeviceLink, {
        ...start,
        id,
        userId: target.userId,
        provider: target.provider,
        label: target.label,
        shared: target.shared,
        state: 'PENDING',
        sealedState: vault.sealJson(start.state, placeOf(id)),
        pollAt: addMs(now, start.intervalMs),
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

  /** Polls what is due. */
  look(): Promise<void> {
    this.#looking ??= this.#pollDue()
      .catch((error) => this.#parts.log.error({ err: error }, 'sign-ins by code cannot be looked at'))
      .finally(() => {
        this.#looking = null;
      });
    return this.#looking;
  }

  async sweep(): Promise<number> {
    const before = addMs(this.#parts.clock.now(), -KEPT_MS);
    return this.#parts.storage.fork().nativeDelete(DeviceLink, { expiresAt: { $lt: before } });
  }

  async #pollDue(): Promise<void> {
    const { storage, clock } = this.#parts;
    const now = clock.now();
    const due = await storage
      .fork()
      .find(
        DeviceLink,
        { state: { $in: ['PENDING', 'SCANNED'] }, pollAt: { $lte: now } },
        { orderBy: { pollAt: 'asc' }, limit: POLLS_MAX, disableIdentityMap: true, connectionType: 'write' },
      );
    await Promise.all(due.map((link) => this.#poll(link, now)));
  }

  async #poll(link: DeviceLink, now: Date): Promise<void> {
    const { storage, log } = this.#parts;
    // Put off first: of several processes, the one whose statement changed the row polls.
    const claimed = await storage
      .fork()
      .nativeUpdate(DeviceLink, { id: link.id, pollAt: link.pollAt }, { pollAt: addMs(now, POLL_TIMEOUT_MS) });
    if (claimed !== 1) return;
    if (link.expiresAt <= now) return this.#change(link, { state: 'EXPIRED', sealedState: null });
    try {
      await this.#apply(link, await this.#ask(link));
    } catch (error) {
      if (this.#closing.signal.aborted) return; // The next process goes on.
      if (isPassing(error)) {
        log.warn({ err: error, deviceLinkId: link.id }, 'a sign-in by code is polled again');
        return this.#wait(link, link.intervalMs * 2);
      }
      log.warn({ err: error, deviceLinkId: link.id }, 'a sign-in by code failed');
      const denied = error instanceof DriveError && error.category === 'permission_denied';
      return this.#change(link, { state: denied ? 'DENIED' : 'EXPIRED', sealedState: null });
    }
  }

  async #ask(link: DeviceLink): Promise<DevicePoll> {
    const linking = this.#parts.linker.linkingOf(link.provider);
    if (!linking.pollDevice || !link.sealedState) return { outcome: 'EXPIRED' };
    const state = this.#parts.vault.openJson(link.sealedState, placeOf(link.id));
    return linking.pollDevice(state, { signal: this.#callSignal() });
  }

  async #apply(link: DeviceLink, poll: DevicePoll): Promise<void> {
    if (poll.outcome === 'APPROVED') {
      const target: LinkTarget = {
        userId: link.userId,
        provider: link.provider,
        label: link.label ?? null,
        shared: link.shared,
      };
      const credentials = { tokens: poll.tokens, secrets: {} };
      const account = await this.#parts.linker.link(target, credentials, {}, { signal: this.#callSignal() });
      return this.#change(link, { state: 'APPROVED', sealedState: null, accountId: account.id });
    }
    if (poll.outcome === 'DENIED' || poll.outcome === 'EXPIRED') {
      return this.#change(link, { state: poll.outcome, sealedState: null });
    }
    const intervalMs = poll.intervalMs ?? link.intervalMs;
    const state =
      poll.state === undefined ? {} : { sealedState: this.#parts.vault.sealJson(poll.state, placeOf(link.id)) };
    const next = { ...state, intervalMs, pollAt: addMs(this.#parts.clock.now(), intervalMs) };
    if (poll.outcome === link.state) await this.#parts.storage.fork().nativeUpdate(DeviceLink, { id: link.id }, next);
    else await this.#change(link, { ...next, state: poll.outcome });
  }

  async #wait(link: DeviceLink, delayMs: number): Promise<void> {
    const pollAt = addMs(this.#parts.clock.now(), delayMs);
    await this.#parts.storage.fork().nativeUpdate(DeviceLink, { id: link.id }, { pollAt });
  }

  async #change(link: DeviceLink, changes: Partial<DeviceLink>): Promise<void> {
    await this.#parts.storage.fork().nativeUpdate(DeviceLink, { id: link.id }, changes);
    await this.#parts.events.publish('deviceLink.changed', { deviceLinkId: link.id });
  }

  #callSignal(): AbortSignal {
    return AbortSignal.any([this.#closing.signal, AbortSignal.timeout(POLL_TIMEOUT_MS)]);
  }
}
