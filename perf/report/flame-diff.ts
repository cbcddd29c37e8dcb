// Two profiled runs held against each other, by what one operation takes or allocates: a graph of each with the change as
// its colour (red takes more, blue less), and the places that changed most. Waiting is left out: others work meanwhile.

import type { FlameRun } from './flame-json.js';
import { escapeXml, type FlameNode, type FlameStyle, flamePage } from './flame-page.js';
import { hotThreads, isWaiting } from './hot-places.js';

export interface Change {
  readonly place: string;
  /** Of an operation, in the unit of the runs. */
  readonly before: number;
  readonly after: number;
}

/** A change of this share of the whole has the full colour. */
const FULL_COLOUR_SHARE = 0.03;
const CHANGES_SHOWN = 25;

/** Largest first. Threads of one role count together. */
export function changesBetween(before: FlameRun, after: FlameRun): Change[] {
  const [left, right] = [placesOf(before), placesOf(after)];
  const places = new Set([...left.keys(), ...right.keys()]);
  const changes = [...places].map((place) => ({ place, before: left.get(place) ?? 0, after: right.get(place) ?? 0 }));
  return changes.toSorted((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before));
}

function placesOf({ root, operations }: FlameRun): Map<string, number> {
  const places = new Map<string, number>();
  for (const { thread, places: own } of hotThreads(root)) {
    const role = thread.replace(/\/\d+/, '');
    for (const [place, weight] of own) {
      const name = `${role}: ${place}`;
      places.set(name, (places.get(name) ?? 0) + weight / Math.max(1, operations));
    }
  }
  return places;
}

/** The busy part of a run, of one operation, with the same of the other run beside each node. */
export function paired(run: FlameRun, other: FlameRun): FlameNode {
  return pair(busy(run.root, run.operations), busy(other.root, other.operations));
}

/** Without waiting; what is left of a node is what its children and itself did. */
function busy(node: FlameNode, operations: number): FlameNode {
  const children = new Map<string, FlameNode>();
  let waited = 0;
  for (const child of node.children.values()) {
    if (isWaiting(child.name)) waited += child.weight;
    else {
      const kept = busy(child, operations);
      waited += child.weight - kept.weight * operations;
      children.set(child.name, kept);
    }
  }
  return { name: node.name, weight: (node.weight - waited) / Math.max(1, operations), children };
}

function pair(node: FlameNode, other: FlameNode | undefined): FlameNode {
  const children = new Map<string, FlameNode>();
  for (const [name, child] of node.children) children.set(name, pair(child, other?.children.get(name)));
  return { name: node.name, weight: node.weight, otherWeight: other?.weight ?? 0, children };
}

function styleOf(isAfter: boolean, unit: string): FlameStyle {
  const changeOf = ({ weight, otherWeight = 0 }: FlameNode): number =>
    isAfter ? weight - otherWeight : otherWeight - weight;
  return {
    colour: (node, root) => {
      const strength = Math.min(1, Math.abs(changeOf(node)) / (root.weight * FULL_COLOUR_SHARE));
      return `hsl(${changeOf(node) > 0 ? 8 : 215} 75% ${(94 - strength * 34).toFixed(0)}%)`;
    },
    label: (node) => {
      const change = changeOf(node);
      const text = `${node.name}: ${node.weight.toFixed(2)} ${unit} an operation`;
      return `${text}, ${change >= 0 ? '+' : ''}${change.toFixed(2)}`;
    },
  };
}

export function flameDiffPage(before: FlameRun, after: FlameRun): string {
  const { unit } = after;
  const what = unit === 'us' ? 'Busy time' : 'Allocation';
  const wall = 'It is wall-clock time: what a thread waited for a processor, or within a call of the disk, is in it.';
  return flamePage(`${before.scenario}: before and after`, [
    {
      title: 'What changed most',
      note: `${what} of a place by itself, in ${unit} an operation, threads of a role together. ${unit === 'us' ? wall : ''}`,
      table: changesTable(changesBetween(before, after)),
    },
    {
      title: 'After',
      note: `${what} of an operation. Red is more than before, blue less. Click a box to widen it, the first row to go back.`,
      root: paired(after, before),
      style: styleOf(true, unit),
    },
    {
      title: 'Before',
      note: 'The same colours on the run before: what is gone is seen here alone.',
      root: paired(before, after),
      style: styleOf(false, unit),
    },
  ]);
}

export function formatChanges(changes: readonly Change[]): string {
  return changes
    .slice(0, CHANGES_SHOWN)
    .map(({ place, before, after }) => {
      const change = after - before;
      const numbers = [before.toFixed(2), after.toFixed(2), `${change >= 0 ? '+' : ''}${change.toFixed(2)}`];
      return `${numbers.map((number) => number.padStart(9)).join(' ')}  ${place}`;
    })
    .join('\n');
}

function changesTable(changes: readonly Change[]): string {
  const rows = changes.slice(0, CHANGES_SHOWN).map(({ place, before, after }) => {
    const numbers = [before, after, after - before].map((weight) => `<td class="n">${weight.toFixed(2)}</td>`);
    return `<tr><td>${escapeXml(place)}</td>${numbers.join('')}</tr>`;
  });
  const head = '<th>place</th><th class="n">before</th><th class="n">after</th><th class="n">change</th>';
  return `<table><tr>${head}</tr>${rows.join('\n')}</table>`;
}
