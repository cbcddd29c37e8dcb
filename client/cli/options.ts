// Options that several commands share.

import { Option } from 'commander';
import { type Address, parseAddress } from './addresses.js';

export const DEFAULT_LISTEN: Address = { host: '127.0.0.1', port: 9400 };
export const DEFAULT_S3: Address = { host: '127.0.0.1', port: 9000 };

export interface ServerOption {
  server: Address;
}

export interface JsonOption {
  json: boolean;
}

export function serverOption(): Option {
  return new Option('--server <host:port>', 'address of the node, its --listen')
    .default(DEFAULT_LISTEN, '127.0.0.1:9400')
    .env('OFS_SERVER')
    .argParser(parseAddress);
}

export function jsonOption(): Option {
  return new Option('--json', 'print JSON, for scripts').default(false);
}
