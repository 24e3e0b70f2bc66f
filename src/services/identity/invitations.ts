import { addMs, type Clock } from '../../lib/clock.ts';
import { InvalidInputError } from '../../lib/errors.ts';
import { hashToken, newToken } from '../../lib/ids.ts';
import { Invitation } from '../../storage/entities/identity.ts';
import type { Storage } from '../../storage/orm.ts';
import type { Audit } from '../audit.ts';
import { requireAdmin, type Viewer } from '../viewer.ts';

const DAY_S = 86_400;
const LIFETIME_DEFAULT_S = 7 * DAY_S;
const LIFETIME_MAX_S = 90 * DAY_S;
/** 128 bits: not guessable, and short enough to be typed in need. */
const CODE_BYTES = 16;

export interface InvitationsOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly audit: Audit;
}

/** Codes with which one person each may register. */
export class Invitations {
  readonly #options: InvitationsOptions;

  constructor(options: InvitationsOptions) {
    this.#options = options;
  }

  /**
   * A new invitation; its code is in this answer only.
   * @throws PermissionDeniedError to everybody but administrators; InvalidInputError
   */
  async create(viewer: Viewer, lifetimeSeconds: number | null): Promise<{ invitationCode: string; expiresAt: Date }> {
    requireAdmin(viewer);
    const lifetime = lifetimeSeconds ?? LIFETIME_DEFAULT_S;
    if (lifetime < 1 || lifetime > LIFETIME_MAX_S) {
      throw InvalidInputError.at('input.lifetimeSeconds', `must be from 1 to ${LIFETIME_MAX_S}`);
    }
    const { storage, clock, audit } = this.#options;
    const invitationCode = newToken(CODE_BYTES);
    const now = clock.now();
    const expiresAt = addMs(now, lifetime * 1000);
    await storage.transaction(async (em) => {
      const invitation = em.create(Invitation, {
        codeHash: hashToken(invitationCode),
        createdBy: viewer.userId,
        createdAt: now,
        expiresAt,
      });
      await em.flush();
      const detail = { invitationId: invitation.id };
      await audit.record({ userId: viewer.userId, action: 'invitation.create', detail }, em);
    });
    return { invitationCode, expiresAt };
  }
}
