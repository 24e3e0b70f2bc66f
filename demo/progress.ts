import { bytes, rate } from './format.ts';

const WIDTH = 30;
/** Where there is no terminal, a line at each such step says enough. */
const STEP_PERCENT = 10;
/** Redrawing more often than the eye can follow costs time that the bytes could have. */
const DRAW_EVERY_MS = 50;

/** A progress bar on a terminal; anywhere else, a line every 10 %. */
export class ProgressBar {
  readonly #label: string;
  readonly #total: number;
  readonly #out: NodeJS.WriteStream;
  readonly #startedMs = performance.now();
  #drawnAtMs = Number.NEGATIVE_INFINITY;
  #told = -1;

  constructor(label: string, totalBytes: number, out: NodeJS.WriteStream = process.stdout) {
    this.#label = label;
    this.#total = totalBytes;
    this.#out = out;
  }

  /** @param note What is going on, as `HASHING`. */
  show(done: number, note = ''): void {
    const percent = this.#total === 0 ? 100 : Math.floor((done / this.#total) * 100);
    if (this.#out.isTTY) this.#draw(done, percent, note);
    else this.#tell(done, percent, note);
  }

  /** Takes the bar off the terminal; lines stay. */
  clear(): void {
    if (this.#out.isTTY) this.#out.write('\r\x1b[2K');
  }

  #draw(done: number, percent: number, note: string): void {
    const now = performance.now();
    if (now - this.#drawnAtMs < DRAW_EVERY_MS && percent < 100) return;
    this.#drawnAtMs = now;
    const filled = Math.round((percent / 100) * WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled);
    this.#out.write(`\r\x1b[2K${this.#label.padEnd(10)} ${bar} ${this.#facts(done, percent, note)}`);
  }

  #tell(done: number, percent: number, note: string): void {
    const step = Math.floor(percent / STEP_PERCENT);
    if (step === this.#told) return;
    this.#told = step;
    this.#out.write(`${this.#label.padEnd(10)} ${this.#facts(done, percent, note)}\n`);
  }

  #facts(done: number, percent: number, note: string): string {
    const speed = rate(done, performance.now() - this.#startedMs);
    const share =
      this.#total === 0 ? bytes(done) : `${String(percent).padStart(3)} %  ${bytes(done)} of ${bytes(this.#total)}`;
    return `${share}  ${speed}  ${note.toLowerCase()}`.trimEnd();
  }
}
