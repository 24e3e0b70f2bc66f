import type { CallContext, DriveEntry, Page, PageRequest } from '../driver.ts';

/** The provider's own share link. */
export interface DriveShare {
  readonly ref: string;
  readonly url: string;
  readonly password: string | null;
  readonly remark: string | null;
  readonly createdAt: Date | null;
  /** Null: for ever, or untold. */
  readonly expiresAt: Date | null;
  readonly active: boolean;
}

export interface ShareOptions {
  /** Null: for ever, where the provider can. */
  readonly days: number | null;
  readonly password: string | null;
  readonly remark: string | null;
  /** What the provider asks for beside, as it gave it to the person. */
  readonly ticket: string | null;
  /** Left out: as the provider has it by itself. Only for drives whose {@link Shares.takesTraffic} is true. */
  readonly traffic?: ShareTraffic;
}

/** Whether the owner's paid traffic serves those who could not download else. */
export interface ShareTraffic {
  /** People who are not signed in at the provider. */
  readonly guests: boolean;
  /** People whose own traffic there is used up. */
  readonly beyondQuota: boolean;
  /** Most of it, in bytes; null: no limit. */
  readonly limitBytes: number | null;
}

export interface Shares {
  /** Whether {@link ShareOptions.traffic} means something here. Absent: it does not. */
  readonly takesTraffic?: boolean;
  create?(refs: readonly string[], options: ShareOptions, call: CallContext): Promise<DriveShare>;
  list?(page: PageRequest, call: CallContext): Promise<Page<DriveShare>>;
  update?(shareRef: string, changes: Partial<ShareOptions>, call: CallContext): Promise<DriveShare>;
  cancel?(shareRef: string, call: CallContext): Promise<void>;
  /** Copies what somebody shared into a folder of this drive. */
  save?(url: string, password: string | null, parentRef: string, call: CallContext): Promise<readonly DriveEntry[]>;
}
