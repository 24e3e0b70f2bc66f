/** Makes the addresses that answers hand out: of tickets, uploads and direct links. */
export class Links {
  readonly #origin: () => string;

  /** @param origin PUBLIC_URL, or where the server listens: known only once it does. No slash at the end. */
  constructor(origin: () => string) {
    this.#origin = origin;
  }

  /** The whole URL of a path of this server. The path begins with a slash; its parts are encoded already. */
  absolute(path: string): string {
    return `${this.#origin()}${path}`;
  }
}
