// A flame graph as one page that needs nothing else: a row for each depth of the stacks, widths by time. A click on a
// box makes it as wide as the page; a click on the first row goes back.

import { formatSize } from '../units.js';

export interface FlameNode {
  readonly name: string;
  /** Microseconds, or bytes in a graph of allocations. */
  weight: number;
  /** In a differential graph: the same of the other run. */
  otherWeight?: number;
  readonly children: Map<string, FlameNode>;
}

/** How boxes are coloured and what is said of them. */
export interface FlameStyle {
  colour(node: FlameNode, root: FlameNode): string;
  label(node: FlameNode, root: FlameNode): string;
}

export interface FlameSection {
  readonly title: string;
  readonly note: string;
  /** HTML; undefined: none. */
  readonly table?: string;
  readonly root?: FlameNode;
  readonly style?: FlameStyle;
}

const WIDTH = 1600;
const ROW = 18;
/** Boxes narrower than this cannot be seen until one zooms in; below a thousandth of that they are left out. */
const SHARE_MIN = 0.0002;
const DEPTH_MAX = 60;

interface Box {
  readonly node: FlameNode;
  readonly depth: number;
  readonly x: number;
}

export const BYTES_STYLE: FlameStyle = {
  colour: ({ name }) => colourOf(name),
  label: ({ name, weight }, root) => {
    return `${name}: ${formatSize(Math.round(weight))}, ${((weight / Math.max(1, root.weight)) * 100).toFixed(2)} %`;
  },
};

export const TIME_STYLE: FlameStyle = {
  colour: ({ name }) => colourOf(name),
  label: ({ name, weight }, root) => {
    return `${name}: ${(weight / 1000).toFixed(1)} ms, ${((weight / Math.max(1, root.weight)) * 100).toFixed(2)} %`;
  },
};

export function flamePage(title: string, sections: readonly FlameSection[]): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escapeXml(title)}</title>
<style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 1.5em; color: #222 } h2 { margin: 1.5em 0 0 } svg { width: 100% }
rect { stroke: #fff; stroke-width: 0.5 } text { font: 11px monospace; pointer-events: none } g { cursor: pointer }
.hover { min-height: 1.5em; font-family: monospace; margin: 0 } p { margin: 0.3em 0; max-width: 90em }
table { border-collapse: collapse } td, th { padding: 1px 14px 1px 0; text-align: left } th { border-bottom: 1px solid #999 }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
</style>
<h1>${escapeXml(title)}</h1>
${sections.map(section).join('\n')}
<script>${SCRIPT.replaceAll('WIDTH', String(WIDTH))}</script>
</html>
`;
}

function section({ title, note, table, root, style }: FlameSection): string {
  const graph = root === undefined ? '' : svg(root, style ?? TIME_STYLE);
  return `<section><h2>${escapeXml(title)}</h2><p>${escapeXml(note)}</p>
${table ?? ''}${graph}</section>`;
}

function svg(root: FlameNode, style: FlameStyle): string {
  const boxes: Box[] = [];
  place(root, { depth: 0, x: 0 }, root.weight * SHARE_MIN, boxes);
  const rows = 1 + boxes.reduce((deepest, { depth }) => Math.max(deepest, depth), 0);
  const height = rows * ROW;
  const scaleX = WIDTH / Math.max(Number.MIN_VALUE, root.weight);
  const shapes = boxes.map((box) => shape(box, scaleX, root, style));
  return `<p class="hover"></p>
<svg viewBox="0 0 ${WIDTH} ${height}" style="height: ${height}px" preserveAspectRatio="none">
${shapes.join('\n')}
</svg>`;
}

function place(node: FlameNode, at: { depth: number; x: number }, least: number, boxes: Box[]): void {
  boxes.push({ node, ...at });
  if (at.depth >= DEPTH_MAX) return;
  let { x } = at;
  for (const child of [...node.children.values()].toSorted((left, right) => right.weight - left.weight)) {
    if (child.weight >= least && child.weight > 0) place(child, { depth: at.depth + 1, x }, least, boxes);
    x += child.weight;
  }
}

function shape({ node, depth, x }: Box, scaleX: number, root: FlameNode, style: FlameStyle): string {
  const [left, wide, top] = [(x * scaleX).toFixed(2), (node.weight * scaleX).toFixed(2), depth * ROW];
  const label = escapeXml(style.label(node, root));
  return `<g data-x="${left}" data-w="${wide}" data-label="${label}"><rect x="${left}" y="${top}" width="${wide}" height="${ROW}" fill="${style.colour(node, root)}"/><text y="${top + 13}">${escapeXml(node.name)}</text></g>`;
}

/** The same place has the same colour on every page; waiting is grey. */
function colourOf(name: string): string {
  if (/^\((idle|waiting)/.test(name)) return '#dddddd';
  if (/^\((program|garbage collector)\)/.test(name)) return '#b9c4cc';
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.charCodeAt(0)) % 997;
  return `hsl(${hash % 50} 75% ${68 + (hash % 12)}%)`;
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const SCRIPT = `
for (const section of document.querySelectorAll('section')) {
  const boxes = [...section.querySelectorAll('g')];
  const hover = section.querySelector('.hover');
  function zoom(x, w) {
    const k = WIDTH / w;
    for (const g of boxes) {
      const left = (g.dataset.x - x) * k, width = g.dataset.w * k;
      const from = Math.max(0, left), to = Math.min(WIDTH, left + width), seen = to - from > 0.1;
      g.style.display = seen ? '' : 'none';
      if (!seen) continue;
      const [rect, text] = g.children;
      rect.setAttribute('x', from); rect.setAttribute('width', to - from);
      text.setAttribute('x', from + 3);
      const letters = Math.floor((to - from) / 7);
      text.textContent = letters < 3 ? '' : g.dataset.label.slice(0, letters);
    }
  }
  for (const g of boxes) {
    g.addEventListener('click', () => zoom(+g.dataset.x, +g.dataset.w));
    g.addEventListener('mousemove', () => { hover.textContent = g.dataset.label; });
  }
  zoom(0, WIDTH);
}
`;
