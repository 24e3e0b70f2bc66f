import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { bytes } from '../demo/format.ts';
import type { Bench, BenchResult } from './bench.ts';
import { type Comparison, isWithinBar } from './measure.ts';

export interface Outcome {
  readonly bench: Bench;
  readonly result: BenchResult | { readonly skipped: string };
}

/** What of the machine decides the figures. */
export function machineFacts(pinned: boolean): string {
  const processors = cpus();
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const cores = `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}`;
  const pinning = pinned ? 'each server on one core, the load on the others' : 'servers and load on the same cores';
  return `PanQL ${version}, Node ${process.versions.node} on ${process.platform} ${process.arch}; ${cores}, ${bytes(totalmem())} of memory; ${pinning}.`;
}

/** A table for the terminal. */
export function asText({ bench, result }: Outcome): string {
  if ('skipped' in result) return `${bench.title}: skipped, as ${result.skipped}\n`;
  const cells = [headOf(bench), ...result.comparisons.map(cellsOf)];
  const widths = headOf(bench).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  );
  return `${bench.title}\n  ${lines.join('\n  ')}\n${result.notes.map((note) => `  ${note}\n`).join('')}`;
}

/** The report of a run. */
export function asMarkdown(outcomes: readonly Outcome[], facts: string, quick: boolean): string {
  const sections = outcomes.map(
    ({ bench, result }) => `## ${bench.title}\n\n${bench.about}\n\n${bodyOf(bench, result)}\n`,
  );
  return `# Measured

${new Date().toISOString().slice(0, 10)}, by \`npm run bench\`. ${facts}
${quick ? '\n**A quick run: its figures say only that it works.**\n' : ''}
The ratios are what counts: both sides were measured in turns in the same run, and each ratio is the median of the rounds'
own. The figures beside them are one machine's on one day.

${sections.join('\n')}`;
}

function bodyOf(bench: Bench, result: Outcome['result']): string {
  if ('skipped' in result) return `Skipped: ${result.skipped}.`;
  const [head, ...rows] = [headOf(bench), ['---', '--:', '--:', '--:', '--:'], ...result.comparisons.map(cellsOf)];
  const table = [head ?? [], ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
  return [table, ...result.notes].join('\n\n');
}

const headOf = ({ ours = 'PanQL', control }: Bench): string[] => ['', ours, control, 'ratio', 'wanted'];

function cellsOf(comparison: Comparison): string[] {
  const { title, unit, bar, ours, control, ratio } = comparison;
  return [title, figure(ours, unit), figure(control, unit), number(ratio), bar ? wanted(comparison) : ''];
}

function wanted(comparison: Comparison): string {
  const { bar } = comparison;
  if (!bar) return '';
  const text = 'atLeast' in bar ? `≥ ${bar.atLeast}` : `≤ ${bar.atMost}`;
  return isWithinBar(comparison) ? `${text} ✓` : `${text} missed`;
}

const figure = (value: number, unit: string): string => `${number(value)} ${Number.isNaN(value) ? '' : unit}`.trim();

function number(value: number): string {
  if (Number.isNaN(value)) return '–';
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });
}
