import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The program in a process of its own. */
export class ServerProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  /** All that it wrote on standard error. */
  stderr = '';
  readonly #lines: Record<string, unknown>[] = [];
  readonly #waiting = new Set<() => void>();
  #over = false;

  constructor(entry: string, environment: Readonly<Record<string, string>>) {
    this.child = spawn(process.execPath, [entry], {
      env: { PATH: process.env.PATH, PORT: '0', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += String(chunk);
    });
    if (this.child.stdout) {
      createInterface(this.child.stdout).on('line', (line) => {
        this.#lines.push(JSON.parse(line));
        this.#wake();
      });
    }
    this.exited = once(this.child, 'close').then(([code, signal]) => {
      this.#over = true;
      this.#wake();
      return { code, signal };
    });
  }

  /** The first log line with this message. @throws Error when the process ends without it. */
  async logged(message: string): Promise<Record<string, unknown>> {
    for (;;) {
      const line = this.#lines.find(({ msg }) => msg === message);
      if (line) return line;
      if (this.#over) throw new Error(`it ended without saying "${message}": ${this.stderr}`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** Where it listens. */
  async url(): Promise<string> {
    await this.logged('listening');
    while (!/API +(\S+)\/graphql/.test(this.stderr)) await once(this.child.stderr as NodeJS.EventEmitter, 'data');
    return /API +(\S+)\/graphql/.exec(this.stderr)?.[1] ?? '';
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}

/** A folder that is removed after the test. */
export async function temporaryFolder(t: { after(task: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'panql-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
