import { connect, type Socket } from 'node:net';

/** What the kernel's buffers give at one time. */
const READ_BYTES = 1024 * 1024;

/**
 * One kept connection that asks for bytes and throws them away. An HTTP client of Node would need as much time as the
 * server: this one reads into one buffer, and looks at nothing but the head of the answer.
 */
export class RawConnection {
  readonly #socket: Socket;
  readonly #host: string;
  #left = 0;
  #head = '';
  #inHead = true;
  #expected = 200;
  #settle: { resolve(bytes: number): void; reject(error: Error): void } | null = null;
  #length = 0;

  private constructor(url: URL) {
    this.#host = url.host;
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    this.#socket = connect({
      host: url.hostname,
      port: Number(url.port),
      onread: { buffer, callback: (count) => this.#take(buffer, count) },
    });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('The server closed the connection.')));
  }

  static open(url: string): Promise<RawConnection> {
    const connection = new RawConnection(new URL(url));
    return new Promise((resolve, reject) => {
      connection.#socket.once('connect', () => resolve(connection)).once('error', reject);
    });
  }

  /** Gets the path, or a range of it as `0-99`; gives how many bytes came. @throws Error when another status is answered. */
  get(path: string, range: string | null = null): Promise<number> {
    this.#inHead = true;
    this.#head = '';
    this.#expected = range === null ? 200 : 206;
    const rangeLine = range === null ? '' : `Range: bytes=${range}\r\n`;
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n${rangeLine}\r\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(buffer: Uint8Array, count: number): boolean {
    let bytes = count;
    if (this.#inHead) {
      const start = this.#head.length;
      this.#head += Buffer.from(buffer.buffer, buffer.byteOffset, count).toString('latin1');
      const end = this.#head.indexOf('\r\n\r\n');
      if (end < 0) return true;
      this.#inHead = false;
      const status = Number(this.#head.slice(9, 12));
      if (status !== this.#expected) {
        this.#fail(new Error(`The server answered ${status} where ${this.#expected} was expected.`));
        return false;
      }
      this.#length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#head)?.[1]);
      this.#left = this.#length;
      bytes = count - (end + 4 - start);
    }
    this.#left -= bytes;
    if (this.#left > 0) return true;
    const settle = this.#settle;
    this.#settle = null;
    settle?.resolve(this.#length);
    return true;
  }

  #fail(error: Error): void {
    this.#settle?.reject(error);
    this.#settle = null;
    this.#socket.destroy();
  }
}
