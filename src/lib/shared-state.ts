/** Short texts by key that every process of an installation sees: Redis, or a table of the database. */
export interface SharedState {
  /** The text, null where there is none; and the time at the server, which is the same for all processes. */
  read(key: string): Promise<{ readonly value: string | null; readonly nowMs: number }>;
  /**
   * Puts `value` in the place of `former` (null: of nothing), to be forgotten after `lifeMs`. False, and nothing done,
   * when another process was faster.
   */
  replace(key: string, former: string | null, value: string, lifeMs: number): Promise<boolean>;
  close(): Promise<void>;
}
