// Who a member of a group is: a node, and how often that node had left the group before. A node that comes back is
// another member, since it has forgotten what it voted for and what it acknowledged, while what it said then may still
// be on its way.

import assert from 'node:assert';

/** Ids of nodes are below. */
export const MEMBER_NODES = 1 << 20;
const STAYS = 1 << 12;

/** `stay` counts from 0. */
export function memberId(node: number, stay: number): number {
  assert(node > 0 && node < MEMBER_NODES && stay >= 0 && stay < STAYS);
  return stay * MEMBER_NODES + node;
}

export function memberNode(member: number): number {
  return member % MEMBER_NODES;
}
