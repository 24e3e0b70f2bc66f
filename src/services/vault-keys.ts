import type { Logger } from '../lib/log.ts';
import type { Storage } from '../storage/orm.ts';
import type { Rotation, Vault } from '../vault/vault.ts';
import type { Audit } from './audit.ts';
import { requireAdmin, type Viewer } from './viewer.ts';

export type { Rotation } from '../vault/vault.ts';

export interface VaultKeysParts {
  readonly storage: Storage;
  readonly vault: Vault;
  readonly audit: Audit;
  readonly log: Logger;
}

/** The keys that credentials are sealed with. They themselves are the operator's, in VAULT_KEYS. */
export class VaultKeys {
  readonly #parts: VaultKeysParts;

  constructor(parts: VaultKeysParts) {
    this.#parts = parts;
  }

  /** Seals everything with the current key, or only counts. @throws PermissionDeniedError to everybody but administrators. */
  async rotate(viewer: Viewer, options: { readonly dryRun: boolean }): Promise<Rotation> {
    requireAdmin(viewer);
    const { storage, vault, audit, log } = this.#parts;
    const rotation = await vault.rotate(storage, options);
    if (!options.dryRun) {
      await audit.record({ userId: viewer.userId, action: 'vault.rotate', detail: { ...rotation } });
      log.info(rotation, 'sealed values were brought to the current key');
    }
    return rotation;
  }
}
