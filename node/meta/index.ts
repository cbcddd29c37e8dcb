// Metadata of the storage process: what other rooms may use.

export type { LocalMeta } from './local.js';
export {
  leasePath,
  type OpenedMeta,
  type OpenMetaOptions,
  openLocalMeta,
  openMetaService,
  openOutsideMeta,
} from './open.js';
export type { DeletedBlob } from './operation-table.js';
export type { ClusterInfo } from './service-handlers.js';
export type * from './view.js';
