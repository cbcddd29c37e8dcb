// A figure and its limit, measured in the same run; printed as a table for people or as JSON.

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  /** What the machine or the layer below can do, and what that is. */
  readonly limit: number;
  readonly limitName: string;
  readonly note: string;
}

export function ratio(figure: Figure): number {
  return figure.limit === 0 ? 0 : figure.value / figure.limit;
}

export function formatFigures(figures: readonly Figure[]): string {
  const head = ['figure', 'value', 'unit', 'limit', 'ratio', 'limit is', 'note'];
  const rows = figures.map((figure) => [
    figure.name,
    formatNumber(figure.value),
    figure.unit,
    formatNumber(figure.limit),
    ratio(figure).toFixed(3),
    figure.limitName,
    figure.note,
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const lines = [head, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return lines.join('\n');
}

function formatNumber(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2);
}
