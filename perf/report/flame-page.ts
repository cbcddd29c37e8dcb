// A flame graph as one page that needs nothing else: a row for each depth of the stacks, widths by time. A click on a
// box makes it as wide as the page; a click on the first row goes back.

export interface FlameNode {
  readonly name: string;
  us: number;
  readonly children: Map<string, FlameNode>;
}

const WIDTH = 1600;
const ROW = 18;
/** Boxes narrower than this cannot be seen until one zooms in; below a thousandth of that they are left out. */
const SHARE_MIN = 0.0002;
const DEPTH_MAX = 60;

interface Box {
  readonly name: string;
  readonly depth: number;
  readonly x: number;
  readonly width: number;
  readonly us: number;
}

export function flamePage(root: FlameNode, title: string): string {
  const boxes: Box[] = [];
  place(root, { depth: 0, x: 0 }, root.us * SHARE_MIN, boxes);
  const rows = 1 + boxes.reduce((deepest, { depth }) => Math.max(deepest, depth), 0);
  const height = rows * ROW;
  const scaleX = WIDTH / Math.max(1, root.us);
  const shapes = boxes.map((box) => shape(box, scaleX, root.us));
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escapeXml(title)}</title>
<style>
body { font: 14px system-ui, sans-serif; margin: 1em } svg { width: 100%; height: ${height}px }
rect { stroke: #fff; stroke-width: 0.5 } text { font: 11px monospace; pointer-events: none } #hover { min-height: 1.5em }
</style>
<h1>${escapeXml(title)}</h1>
<p>Wall-clock time of every thread, by samples; (idle) is waiting. Click a box to widen it, the first row to go back.</p>
<p id="hover"></p>
<svg viewBox="0 0 ${WIDTH} ${height}" preserveAspectRatio="none">
${shapes.join('\n')}
</svg>
<script>${SCRIPT.replaceAll('WIDTH', String(WIDTH))}</script>
</html>
`;
}

function place(node: FlameNode, at: { depth: number; x: number }, least: number, boxes: Box[]): void {
  boxes.push({ name: node.name, depth: at.depth, x: at.x, width: node.us, us: node.us });
  if (at.depth >= DEPTH_MAX) return;
  let { x } = at;
  for (const child of [...node.children.values()].toSorted((left, right) => right.us - left.us)) {
    if (child.us >= least) place(child, { depth: at.depth + 1, x }, least, boxes);
    x += child.us;
  }
}

function shape({ name, depth, x, width, us }: Box, scaleX: number, totalUs: number): string {
  const label = `${name}: ${(us / 1000).toFixed(1)} ms, ${((us / Math.max(1, totalUs)) * 100).toFixed(2)} %`;
  const [left, wide, top] = [(x * scaleX).toFixed(2), (width * scaleX).toFixed(2), depth * ROW];
  return `<g data-x="${left}" data-w="${wide}" data-y="${top}" data-label="${escapeXml(label)}"><rect x="${left}" y="${top}" width="${wide}" height="${ROW}" fill="${colourOf(name)}"/><text y="${top + 13}">${escapeXml(name)}</text></g>`;
}

/** The same place has the same colour on every page; waiting is grey. */
function colourOf(name: string): string {
  if (/^\((idle|program|garbage collector)\)/.test(name)) return name.startsWith('(idle') ? '#dddddd' : '#b9c4cc';
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.charCodeAt(0)) % 997;
  return `hsl(${hash % 50} 75% ${68 + (hash % 12)}%)`;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const SCRIPT = `
const boxes = [...document.querySelectorAll('g')];
const hover = document.getElementById('hover');
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
`;
