// Handlers of the operations that run a group rather than its namespace: sessions, status, raw rows. Each is bound to
// one group.

import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { metaOperations, ROW_KEY_BYTES, type Table } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import type { MetaGroup } from './group.js';
import type { MetaLogic, ReadHandlers, WriteHandlers } from './operation-table.js';
import type { MetaAnswer, MetaRequest, View } from './view.js';

/** Answers of tableScan end before the frame's limit; a single row may be longer. */
const SCAN_PAGE_BYTES = limits.frameBodyBytes / 4;
/** What a row costs in a page beyond its bytes. */
const ROW_OVERHEAD = 16;

export type GroupStatusAnswer = MetaAnswer<'groupStatus'>;
export type ClusterInfo = MetaAnswer<'clusterInfo'>;

export interface GroupFacts {
  status(): GroupStatusAnswer;
  clusterInfo: ClusterInfo;
}

/** All handlers of a group: those of the namespace in a volume's, those of the configuration in group 0. */
export function handlersOf(
  group: MetaGroup,
  logic: MetaLogic,
  facts: GroupFacts,
): { reads: ReadHandlers; writes: WriteHandlers } {
  const { sessions } = group;
  const reads: ReadHandlers = {
    ...pick(logic.readHandlers, group.id),
    sessionRenew: (_view, request) => sessions.renew(request),
    tableScan: (view, request) => tableScan(view, request),
    groupStatus: () => facts.status(),
    ...(group.id === 0 ? { clusterInfo: () => facts.clusterInfo } : {}),
  };
  const writes: WriteHandlers = {
    ...pick(logic.writeHandlers, group.id),
    sessionOpen: (transaction, request) => {
      const answer = sessions.open(transaction, request, group.context.nowMs);
      group.afterProposal(() => sessions.opened(request.session));
      return answer;
    },
    sessionClose: (transaction, request) => {
      group.endSession(transaction, request.session, 'CLOSED');
      return {};
    },
  };
  return { reads, writes };
}

function pick<H extends ReadHandlers | WriteHandlers>(handlers: H, group: number): H {
  const firstOfRoot = metaOperations.volumeCreate.code;
  const names = Object.keys(handlers) as (keyof H & keyof typeof metaOperations)[];
  const kept = names.filter((name) => metaOperations[name].code >= firstOfRoot === (group === 0));
  return Object.fromEntries(kept.map((name) => [name, handlers[name]])) as H;
}

function tableScan(view: View, request: MetaRequest<'tableScan'>): MetaAnswer<'tableScan'> {
  const { after, prefix, limit } = request;
  if (after.length > ROW_KEY_BYTES) {
    throw new OfsError(Status.INVAL, `no key is as long as ${after.length} bytes; give one that a scan answered`);
  }
  const rows: { key: ByteString; value: Uint8Array }[] = [];
  let bytes = 0;
  let end = true;
  const start = after >= prefix && after !== '' ? `${after}\0` : prefix;
  view.scan(start === '' ? '\0' : start, `${prefix}${'\xff'.repeat(ROW_KEY_BYTES)}`, (key, value) => {
    if (rows.length >= limit || bytes >= SCAN_PAGE_BYTES) {
      end = false;
      return false;
    }
    rows.push({ key, value: Buffer.from(value) });
    bytes += key.length + value.length + ROW_OVERHEAD;
    return true;
  });
  return { rows, end };
}

/** How many rows a table has, up to `limit`. */
export function countRows(view: View, table: (typeof Table)[keyof typeof Table], limit: number): number {
  let rows = 0;
  view.scan(table, `${table}\xff`, () => ++rows < limit);
  return rows;
}
