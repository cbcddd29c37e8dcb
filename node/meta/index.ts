// Metadata of the storage process: what other rooms may use.

export type { MetaLogic } from './operation-table.js';
export { type DeletedBlob, MetaService, type MetaServiceOptions } from './service.js';
export type { ClusterInfo } from './service-handlers.js';
export * from './view.js';
