import type { Address } from '../transfers/url-source.ts';
import type { Vault, VaultPlace } from '../vault/vault.ts';

/** Addresses of files to fetch, and the keys to them, at rest: sealed, each for the transfer that fetches it. */
export class SealedAddresses {
  readonly #vault: Vault;

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  seal(transferId: string, address: Address): string {
    return this.#vault.sealJson(address, placeOf(transferId));
  }

  /** @throws SealBrokenError */
  open({ id, sealed }: { readonly id: string; readonly sealed: string | null }): Address {
    if (sealed === null) throw new Error('the address of this transfer is not kept');
    return this.#vault.openJson(sealed, placeOf(id)) as Address;
  }
}

const placeOf = (transferId: string): VaultPlace => ({ row: transferId, field: 'transfers.sealed_source' });
