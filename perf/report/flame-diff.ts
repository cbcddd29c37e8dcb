// Two profiled runs held against each other, by what one operation takes: a graph of each with the change as its colour
// (red takes more, blue less), and the places that changed most. Waiting is left out: it is what others do meanwhile.

import type { FlameRun } from './flame-json.js';
import { escapeXml, type FlameNode, type FlameStyle, flamePage } from './flame-page.js';
import { hotThreads, isWaiting } from './hot-places.js';

export interface Change {
  readonly place: string;
  /** Microseconds an operation. */
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
    for (const [place, us] of own) {
      const name = `${role}: ${place}`;
      places.set(name, (places.get(name) ?? 0) + us / Math.max(1, operations));
    }
  }
  return places;
}

/** The busy part of a run in microseconds an operation, with the same of the other run beside each node. */
export function paired(run: FlameRun, other: FlameRun): FlameNode {
  return pair(busy(run.root, run.operations), busy(other.root, other.operations));
}

/** Without waiting; what is left of a node is what its children and itself did. */
function busy(node: FlameNode, operations: number): FlameNode {
  const children = new Map<string, FlameNode>();
  let waitedUs = 0;
  for (const child of node.children.values()) {
    if (isWaiting(child.name)) waitedUs += child.us;
    else {
      const kept = busy(child, operations);
      waitedUs += child.us - kept.us * operations;
      children.set(child.name, kept);
    }
  }
  return { name: node.name, us: (node.us - waitedUs) / Math.max(1, operations), children };
}

function pair(node: FlameNode, other: FlameNode | undefined): FlameNode {
  const children = new Map<string, FlameNode>();
  for (const [name, child] of node.children) children.set(name, pair(child, other?.children.get(name)));
  return { name: node.name, us: node.us, otherUs: other?.us ?? 0, children };
}

function styleOf(isAfter: boolean): FlameStyle {
  const changeOf = ({ us, otherUs = 0 }: FlameNode): number => (isAfter ? us - otherUs : otherUs - us);
  return {
    colour: (node, root) => {
      const strength = Math.min(1, Math.abs(changeOf(node)) / (root.us * FULL_COLOUR_SHARE));
      return `hsl(${changeOf(node) > 0 ? 8 : 215} 75% ${(94 - strength * 34).toFixed(0)}%)`;
    },
    label: (node) => {
      const change = changeOf(node);
      const text = `${node.name}: ${node.us.toFixed(2)} us an operation`;
      return `${text}, ${change >= 0 ? '+' : ''}${change.toFixed(2)}`;
    },
  };
}

export function flameDiffPage(before: FlameRun, after: FlameRun): string {
  return flamePage(`${before.scenario}: before and after`, [
    {
      title: 'What changed most',
      note:
        'Busy time of a place by itself, in microseconds an operation, all threads of a role together. It is wall-clock ' +
        'time: what a thread waited for a processor, or within a call of the disk, is in it.',
      table: changesTable(changesBetween(before, after)),
    },
    {
      title: 'After',
      note: 'Busy time an operation. Red takes more than before, blue less. Click a box to widen it, the first row to go back.',
      root: paired(after, before),
      style: styleOf(true),
    },
    {
      title: 'Before',
      note: 'The same colours on the run before: what is gone is seen here alone.',
      root: paired(before, after),
      style: styleOf(false),
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
    const numbers = [before, after, after - before].map((us) => `<td class="n">${us.toFixed(2)}</td>`);
    return `<tr><td>${escapeXml(place)}</td>${numbers.join('')}</tr>`;
  });
  const head = '<th>place</th><th class="n">before</th><th class="n">after</th><th class="n">change</th>';
  return `<table><tr>${head}</tr>${rows.join('\n')}</table>`;
}
