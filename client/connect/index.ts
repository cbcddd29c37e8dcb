export { callBlocks, readBlock } from './blocks.js';
export { type ClusterInfo, type ConnectOptions, connectRemote, type RemoteNode, type Server } from './remote.js';
export { openPathFs, openVolume, type VolumeOptions } from './volume.js';
