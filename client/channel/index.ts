export type { MetaChannel } from './interface.js';
export { failure, type LocalReads, MetaClient, type MetaClientOptions, newSession } from './meta-client.js';
export { TcpChannel, type TcpChannelOptions } from './tcp-channel.js';
