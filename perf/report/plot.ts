// Plots as SVG, made here: lines over two axes, linear or logarithmic, with round numbers at their ticks.

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
  /** What others are held against. */
  readonly isLimit?: boolean;
}

export interface Axis {
  readonly label: string;
  readonly isLog: boolean;
  format(value: number): string;
}

const WIDTH = 620;
const HEIGHT = 270;
const LEFT = 70;
const RIGHT = 26;
const TOP = 26;
const BOTTOM = 44;
const LEGEND_ROW = 16;
const COLOURS = ['#1768ac', '#d1495b', '#3a7d44', '#c77700', '#8d5a97', '#00798c', '#a63d40', '#5b6c8f'];
const LIMIT_COLOUR = '#8a8a8a';
const TICKS = 5;
/** Lines of few points show each of them. */
const MARKED_POINTS = 40;
/** Letters of 11 px are about as wide. */
const LETTER = 6.2;

interface Scale {
  at(value: number): number;
  readonly ticks: readonly number[];
}

/** Nothing when there is no point. */
export function plot(title: string, lines: readonly Line[], x: Axis, y: Axis): string {
  const points = lines.flatMap((line) => line.points).filter(([a, b]) => (!x.isLog || a > 0) && (!y.isLog || b > 0));
  if (points.length === 0) return '';
  const across = scaleOf(
    points.map(([a]) => a),
    x,
    [LEFT, WIDTH - RIGHT],
  );
  const upwards = scaleOf(
    points.map(([, b]) => b),
    y,
    [HEIGHT - BOTTOM, TOP],
  );
  const legend = legendOf(lines);
  const height = HEIGHT + legend.rows * LEGEND_ROW;
  return `<figure><figcaption>${escapeHtml(title)}</figcaption>
<svg width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(title)}">
${grid(across, upwards, x, y)}
${lines.map((line, index) => shape(line, colourOf(line, index), across, upwards, x, y)).join('\n')}
${legend.text}
</svg></figure>`;
}

function grid(across: Scale, upwards: Scale, x: Axis, y: Axis): string {
  const vertical = across.ticks.map((value) => {
    const place = across.at(value).toFixed(1);
    const line = `<line x1="${place}" x2="${place}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/>`;
    return `${line}<text x="${place}" y="${HEIGHT - BOTTOM + 15}" text-anchor="middle">${escapeHtml(x.format(value))}</text>`;
  });
  const horizontal = upwards.ticks.map((value) => {
    const place = upwards.at(value);
    const line = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${place.toFixed(1)}" y2="${place.toFixed(1)}"/>`;
    return `${line}<text x="${LEFT - 7}" y="${(place + 4).toFixed(1)}" text-anchor="end">${escapeHtml(y.format(value))}</text>`;
  });
  const label = `<text class="axis" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">${escapeHtml(x.label)}</text>`;
  const unit = `<text class="axis" x="${LEFT}" y="${TOP - 10}">${escapeHtml(y.label)}</text>`;
  return `<g class="grid">${vertical.join('')}${horizontal.join('')}</g>${label}${unit}`;
}

function shape({ points, isLimit }: Line, colour: string, across: Scale, upwards: Scale, x: Axis, y: Axis): string {
  const drawn = points.filter(([a, b]) => (!x.isLog || a > 0) && (!y.isLog || b > 0));
  const places = drawn.map(([a, b]) => [across.at(a).toFixed(1), upwards.at(b).toFixed(1)] as const);
  const path = places.map((place) => place.join(',')).join(' ');
  const dash = isLimit === true ? ' stroke-dasharray="5 4"' : '';
  const line = `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.8" stroke-linejoin="round"${dash}/>`;
  if (drawn.length > MARKED_POINTS || isLimit === true) return line;
  const marks = places.map(([left, top], index) => {
    const [a, b] = drawn[index]!; // of the same length
    const text = escapeHtml(`${x.format(a)}: ${y.format(b)}`);
    return `<circle cx="${left}" cy="${top}" r="2.4" fill="${colour}"><title>${text}</title></circle>`;
  });
  return line + marks.join('');
}

function colourOf({ isLimit }: Line, index: number): string {
  return isLimit === true ? LIMIT_COLOUR : COLOURS[index % COLOURS.length]!; // below its length
}

/** As many names in a row as there is room for. */
function legendOf(lines: readonly Line[]): { text: string; rows: number } {
  let left = LEFT;
  let row = 0;
  const entries = lines.map((line, index) => {
    const width = 26 + line.name.length * LETTER;
    if (left > LEFT && left + width > WIDTH) {
      left = LEFT;
      row++;
    }
    const y = HEIGHT + row * LEGEND_ROW + 4;
    const colour = colourOf(line, index);
    const mark = `<line x1="${left}" x2="${left + 14}" y1="${y - 4}" y2="${y - 4}" stroke="${colour}" stroke-width="3"/>`;
    const entry = `${mark}<text x="${left + 19}" y="${y}">${escapeHtml(line.name)}</text>`;
    left += width + 12;
    return entry;
  });
  return { text: entries.join(''), rows: row + 1 };
}

function scaleOf(values: readonly number[], { isLog }: Axis, [from, to]: readonly [number, number]): Scale {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const ticks = isLog ? logTicks(least, most) : linearTicks(most);
  const measure = (value: number): number => (isLog ? Math.log10(value) : value);
  const low = isLog ? Math.min(measure(least), measure(ticks[0] ?? least)) : 0;
  const high = Math.max(measure(most), measure(ticks.at(-1) ?? most));
  const width = high - low || 1;
  return { at: (value) => from + ((measure(value) - low) / width) * (to - from), ticks };
}

/** From zero to what is beyond the largest, in steps of 1, 2 or 5 times a power of ten. */
export function linearTicks(most: number): number[] {
  if (most <= 0) return [0];
  const raw = most / TICKS;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10) * power;
  const count = Math.ceil(most / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

/** Powers of ten that enclose the values; 1, 2 and 5 times those where they are few, some left out where many. */
export function logTicks(least: number, most: number): number[] {
  const [first, last] = [Math.floor(Math.log10(least) + 1e-9), Math.ceil(Math.log10(most) - 1e-9)];
  const decades = last - first;
  const factors = decades <= 2 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / 7));
  const ticks: number[] = [];
  for (let exponent = first; exponent <= last; exponent += every) {
    for (const factor of factors) ticks.push(Number((factor * 10 ** exponent).toPrecision(12)));
  }
  const lowest = ticks.findLast((tick) => tick <= least * (1 + 1e-9)) ?? least;
  const highest = ticks.find((tick) => tick >= most * (1 - 1e-9)) ?? most;
  return ticks.filter((tick) => tick >= lowest && tick <= highest);
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
