// The S3 gateway: one server a thread, all on one port. `startGateway` runs in each gateway thread; a process whose
// gateway threads are workers imports `./environment.js` in its main thread first.

export { type Gateway, type GatewayOptions, startGateway } from './server.js';
export type { Log, Volume } from './service.js';
