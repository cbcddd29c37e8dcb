// What commands print: tables and JSON on standard output, messages on standard error.

/** A line for people or scripts on standard output. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** A message beside the output: progress, warnings, errors. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Columns aligned by their widest cell; numbers to the right. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => String(row[column] ?? '').length)),
  );
  const line = (row: readonly (string | number)[]): string =>
    row
      .map((cell, column) => {
        const width = widths[column]!; // one for each column of the head
        return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  print(line(head));
  for (const row of rows) print(line(row));
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function formatTime({ sec }: { sec: number }): string {
  return new Date(sec * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Progress of long work on standard error: a line that rewrites itself on a terminal, silent elsewhere. */
export class Progress {
  private lastMs = 0;

  constructor(private readonly enabled = process.stderr.isTTY === true) {}

  update(text: string): void {
    const now = performance.now();
    if (!this.enabled || now - this.lastMs < 100) return;
    this.lastMs = now;
    process.stderr.write(`\r\x1b[K${text}`);
  }

  end(): void {
    if (this.enabled) process.stderr.write('\r\x1b[K');
  }
}
