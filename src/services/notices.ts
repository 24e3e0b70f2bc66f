import type { EventBus } from '../events/bus.ts';
import type { Topics } from '../events/topics.ts';
import type { Clock } from '../lib/clock.ts';
import { InvalidInputError } from '../lib/errors.ts';
import type { Audit } from './audit.ts';
import type { Viewer } from './viewer.ts';

export type Notice = Topics['notice'];
export const NOTICE_LEVELS = ['INFO', 'WARNING', 'ERROR'] as const satisfies readonly Notice['level'][];

/** Characters of a notice: some sentences, as a banner shows them. */
export const NOTICE_CHARACTERS_MAX = 1_000;

/** Messages of administrators to everybody who is connected. They are not kept: who is away misses them. */
export class Notices {
  readonly #events: EventBus;
  readonly #audit: Audit;
  readonly #clock: Clock;

  constructor(events: EventBus, audit: Audit, clock: Clock) {
    this.#events = events;
    this.#audit = audit;
    this.#clock = clock;
  }

  /** Sends a notice; that the viewer is an administrator is checked before. */
  async broadcast(viewer: Viewer, { message, level }: Pick<Notice, 'message' | 'level'>): Promise<Notice> {
    const text = message.trim();
    if (text === '') throw InvalidInputError.at('input.message', 'must not be empty');
    if (text.length > NOTICE_CHARACTERS_MAX) {
      throw InvalidInputError.at('input.message', `must be at most ${NOTICE_CHARACTERS_MAX} characters`);
    }
    const notice: Notice = { at: this.#clock.now().toISOString(), message: text, level };
    await this.#audit.record({ userId: viewer.userId, action: 'notice.broadcast', detail: { level, message: text } });
    await this.#events.publish('notice', notice);
    return notice;
  }

  /** Those to come, until the signal. */
  watch(signal: AbortSignal): AsyncIterable<Notice> {
    return this.#events.subscribe('notice', { signal });
  }
}
