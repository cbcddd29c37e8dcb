// One HTML page, on its own, that shows people why a history was refused: clients as rows, operations as bars, the order
// that came furthest drawn through them, and the operation that fits nowhere. Of a long history the part around that.

import { type History, type Model, type Operation, type Prefix, UNKNOWN, type Verdict } from './history.js';

const ROW = 44;
const BAR = 26;
const STEP = 16;
const LEFT = 110;
const TOP = 30;
/** Operations before the one that is stuck, by the order of their calls, that are drawn. */
const DRAWN = 150;
const TEXT_WIDTH = 6.4;

interface Drawing<Q, A> {
  readonly model: Model<unknown, Q, A>;
  readonly operations: History<Q, A>;
  /** What is drawn, by its place in `operations`. */
  readonly drawn: readonly number[];
  /** Where each is in the order. */
  readonly rank: ReadonlyMap<number, number>;
  readonly stuck: number;
  readonly x: (time: number) => number;
  readonly width: number;
  readonly clients: readonly (number | string)[];
}

/** `history` is what was checked; of a verdict that is not ok, its part is shown. */
export function page<S, Q, A>(model: Model<S, Q, A>, history: History<Q, A>, verdict: Verdict<Q, A>): string {
  const shown = verdict.verdict === 'ok' ? history : verdict.operations;
  const prefixes = verdict.verdict === 'ok' ? [] : verdict.prefixes;
  const stuck = verdict.verdict === 'ok' ? -1 : verdict.stuck;
  const views = prefixes.length === 0 ? [{ order: [], state: '' }] : prefixes;
  const sections = views.map((prefix, at) => section(model as Model<unknown, Q, A>, shown, stuck, prefix, at));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escaped(`${model.name}: ${verdict.verdict}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(model.name)}: <span class="${verdict.verdict}">${headline(verdict)}</span></h1>
<p>${escaped(account(model, history, verdict))}</p>
${sections.join('\n')}
</body>
</html>
`;
}

const STYLE = `
body { font: 14px/1.4 system-ui, sans-serif; margin: 24px; color: #1b1f24; background: #fff; }
h1 { font-size: 20px; } h2 { font-size: 16px; margin-top: 28px; }
.ok { color: #1a7f37; } .illegal { color: #cf222e; } .unknown { color: #9a6700; }
.timeline { overflow-x: auto; border: 1px solid #d0d7de; border-radius: 6px; }
svg text { font: 11px ui-monospace, monospace; fill: #1b1f24; }
svg .client { font-weight: 600; } svg .rank { fill: #57606a; }
.placed rect { fill: #d2f4d9; stroke: #1a7f37; } .open rect { fill: #eaeef2; stroke: #8c959f; }
.stuck rect { fill: #ffd8d3; stroke: #cf222e; stroke-width: 2; } .lost rect { stroke-dasharray: 4 3; }
.order { fill: none; stroke: #0969da; stroke-width: 1.5; opacity: .55; } .point { fill: #0969da; }
.columns { display: flex; gap: 32px; align-items: flex-start; flex-wrap: wrap; }
ol, pre { font: 12px/1.5 ui-monospace, monospace; max-height: 420px; overflow: auto; padding-right: 16px; }
.key span { display: inline-block; padding: 1px 8px; margin-right: 8px; border: 1px solid #8c959f; border-radius: 3px; }
`;

function headline<Q, A>(verdict: Verdict<Q, A>): string {
  if (verdict.verdict === 'ok') return 'linearizable';
  return verdict.verdict === 'illegal' ? 'not linearizable' : `not known: ${escaped(verdict.why)}`;
}

function account<S, Q, A>(model: Model<S, Q, A>, history: History<Q, A>, verdict: Verdict<Q, A>): string {
  const steps = `${verdict.steps} steps`;
  if (verdict.verdict === 'ok') return `${history.length} operations in ${verdict.parts} parts, ${steps}.`;
  const { operations, stuck } = verdict;
  const operation = operations[stuck];
  const what =
    operation === undefined ? '' : ` Nowhere fits: ${model.describe(operation)} (client ${operation.client}).`;
  return `A part of ${operations.length} operations of ${history.length}, ${steps}.${what}`;
}

function section<Q, A>(
  model: Model<unknown, Q, A>,
  operations: History<Q, A>,
  stuck: number,
  { order, state }: Prefix,
  at: number,
): string {
  const drawing = layOut(model, operations, stuck, order);
  const first = Math.max(0, order.length - DRAWN);
  const lines = order.slice(first).map((index) => `<li>${escaped(model.describe(operations[index]!))}</li>`); // in it
  const left = operations.length - drawn(operations, stuck).length;
  return `<section>
<h2>${order.length === 0 ? 'Operations' : `Order ${at + 1}: ${order.length} operations fit`}</h2>
<p class="key"><span class="placed-key" style="background:#d2f4d9">in the order</span><span
style="background:#eaeef2">not in it</span><span style="background:#ffd8d3">fits nowhere</span><span
style="border-style:dashed">answer unknown</span>${left > 0 ? `${left} operations before and behind are not drawn` : ''}</p>
<div class="timeline">${timeline(drawing, order)}</div>
<div class="columns">
<div><h2>The order${first > 0 ? `, its last ${DRAWN}` : ''}</h2><ol start="${first + 1}">${lines.join('')}</ol></div>
<div><h2>The state behind it</h2><pre>${escaped(state)}</pre></div>
</div>
</section>`;
}

/** The operations around the one that is stuck. */
function drawn(operations: History<unknown, unknown>, stuck: number): readonly number[] {
  const byCall = operations.map((_, index) => index).sort((a, b) => operations[a]!.invoked - operations[b]!.invoked);
  const end = stuck < 0 ? byCall.length : (operations[stuck]!.returned ?? Number.POSITIVE_INFINITY);
  const called = byCall.filter((index) => stuck < 0 || operations[index]!.invoked <= end);
  const kept = called.slice(-DRAWN);
  return stuck < 0 || kept.includes(stuck) ? kept : [stuck, ...kept];
}

function layOut<Q, A>(
  model: Model<unknown, Q, A>,
  operations: History<Q, A>,
  stuck: number,
  order: readonly number[],
): Drawing<Q, A> {
  const indexes = drawn(operations, stuck);
  const times = new Set<number>();
  for (const index of indexes) {
    const { invoked, returned } = operations[index]!; // it is drawn
    times.add(invoked);
    if (returned !== null) times.add(returned);
  }
  // Equal steps between events, whatever time passed: what matters is their order.
  const places = new Map([...times].sort((a, b) => a - b).map((time, place) => [time, place]));
  const last = places.size;
  const x = (time: number): number => LEFT + (places.get(time) ?? last) * STEP;
  const clients = [...new Set(indexes.map((index) => operations[index]!.client))].sort(byName);
  const rank = new Map(order.map((index, place) => [index, place]));
  return { model, operations, drawn: indexes, rank, stuck, x, width: LEFT + (last + 2) * STEP, clients };
}

function byName(left: number | string, right: number | string): number {
  return typeof left === 'number' && typeof right === 'number' ? left - right : `${left}` < `${right}` ? -1 : 1;
}

function timeline<Q, A>(drawing: Drawing<Q, A>, order: readonly number[]): string {
  const { clients, width } = drawing;
  const height = TOP + clients.length * ROW;
  const names = clients.map(
    (client, row) =>
      `<text class="client" x="8" y="${TOP + row * ROW + BAR / 2 + 4}">client ${escaped(`${client}`)}</text>`,
  );
  const bars = drawing.drawn.map((index) => bar(drawing, index));
  return `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
${names.join('\n')}
${bars.join('\n')}
${orderLine(drawing, order)}
</svg>`;
}

function rowOf<Q, A>({ clients }: Drawing<Q, A>, { client }: Operation<Q, A>): number {
  return TOP + clients.indexOf(client) * ROW;
}

function bar<Q, A>(drawing: Drawing<Q, A>, index: number): string {
  const operation = drawing.operations[index]!; // it is drawn
  const { invoked, returned, answer } = operation;
  const lost = answer === UNKNOWN;
  const from = drawing.x(invoked);
  const to = lost ? drawing.width - 4 : drawing.x(returned ?? Number.NaN);
  const rank = drawing.rank.get(index);
  const kind = index === drawing.stuck ? 'stuck' : rank === undefined ? 'open' : 'placed';
  const words = drawing.model.describe(operation);
  const room = Math.max(0, Math.floor((to - from - 6) / TEXT_WIDTH));
  const label = words.length <= room ? words : room > 1 ? `${words.slice(0, room - 1)}…` : '';
  const y = rowOf(drawing, operation);
  return `<g class="${kind}${lost ? ' lost' : ''}" data-operation="${index}"><title>${escaped(words)}
${escaped(`called ${invoked}, ${lost ? 'never answered' : `returned ${returned}`}`)}</title>
<rect x="${from}" y="${y}" width="${Math.max(4, to - from)}" height="${BAR}" rx="3"/>
<text x="${from + 4}" y="${y + BAR / 2 + 4}">${escaped(label)}</text>
${rank === undefined ? '' : `<text class="rank" x="${from}" y="${y - 3}">${rank + 1}</text>`}</g>`;
}

/** Through the points where the operations took effect: each as early as the one before it and its own call allow. */
function orderLine<Q, A>(drawing: Drawing<Q, A>, order: readonly number[]): string {
  const isDrawn = new Set(drawing.drawn);
  const points: string[] = [];
  let at = 0;
  for (const index of order) {
    if (!isDrawn.has(index)) continue;
    const operation = drawing.operations[index]!; // it is drawn
    at = Math.max(at + 2, drawing.x(operation.invoked) + 3);
    points.push(`${at},${rowOf(drawing, operation) + BAR - 5}`);
  }
  const dots = points.map((point) => {
    const [x, y] = point.split(',');
    return `<circle class="point" cx="${x}" cy="${y}" r="2.5"/>`;
  });
  return `<polyline class="order" points="${points.join(' ')}"/>\n${dots.join('')}`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
