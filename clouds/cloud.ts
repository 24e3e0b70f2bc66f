/** An imitation of a cloud, on loopback: what `npm run demo` and `npm run sandbox` put a server before. */
export interface Cloud {
  /** As the schema names it. */
  readonly provider: string;
  readonly title: string;
  /** Whose account it is, as people call them. */
  readonly person: string;
  /** Settings of the server that lead to it, in place of the real hosts and keys. */
  readonly settings: Readonly<Record<string, string>>;
  readonly linking: CodeLinking | TypedLinking;
  close(): Promise<void>;
}

/** The account is linked by a code that its person confirms on another device. */
export interface CodeLinking {
  readonly method: 'DEVICE_CODE';
  /** Codes that wait for an answer, oldest first. */
  waiting(): readonly string[];
  confirm(code: string): void;
  refuse(code: string): void;
  /** Where the cloud tells it: the code was seen, and not answered yet. */
  scan?(code: string): void;
}

/** The account is linked by values that its person types. */
export interface TypedLinking {
  readonly method: 'CREDENTIALS';
  /** By name of the provider's settings. */
  readonly values: Readonly<Record<string, string>>;
}

/** Starts an imitation with some files in it. `callbackUrl` is where a sign-in page sends the browser back to. */
export type StartCloud = (options: { readonly callbackUrl: string }) => Promise<Cloud>;
