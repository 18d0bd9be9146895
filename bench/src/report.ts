import { median, type Round } from './round.js';

/** One line of the report. */
export interface Case {
  readonly size: string;
  readonly mode: string;
  readonly target: string;
  readonly rounds: readonly Round[];
  readonly median: Round;
}

const HEAD = ['size', 'sessions', 'target', 'accepted/s', 'relayed/s', 'CPU ms', 'MiB'];

/**
 * @param against the target that the others' rates are set against.
 * @returns the cases as a Markdown table; the ratio is the median over pairs of rounds.
 */
export function table(cases: readonly Case[], against: string): string {
  const heads = [...HEAD, `relay rate, times ${against}`];
  const rows = cases.map((one) => {
    const { acceptRate, relayRate, cpu, memory } = one.median;
    const figures = [acceptRate.toFixed(0), relayRate.toFixed(0), cpu.toFixed(2), memory.toFixed(0)];
    return [one.size, one.mode, one.target, ...figures, ratio(one, cases, against)];
  });
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

function ratio(one: Case, cases: readonly Case[], against: string): string {
  const same = cases.find(({ size, mode, target }) => size === one.size && mode === one.mode && target === against);
  if (!same || same === one) return '';
  const ratios = one.rounds.map((round, at) => round.relayRate / (same.rounds[at]?.relayRate ?? Number.NaN));
  return median(ratios).toFixed(2);
}
