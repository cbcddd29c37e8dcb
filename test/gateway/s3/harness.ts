// Starts a gateway over the service in memory, for tests and for benchmarks by hand.

import { type Gateway, type GatewayOptions, startGateway } from '../../../gateway/s3/index.js';
import { MemoryService } from './memory.js';

export interface Logged {
  fields: object;
  message: string;
}

export interface TestGateway {
  readonly service: MemoryService;
  readonly gateway: Gateway;
  readonly endpoint: string;
  readonly host: string;
  /** What was logged at error level. */
  readonly errors: Logged[];
}

export async function testGateway(options: Partial<GatewayOptions> = {}): Promise<TestGateway> {
  const service = new MemoryService();
  const errors: Logged[] = [];
  const quiet = (): void => {};
  const gateway = await startGateway({
    port: 0,
    host: '127.0.0.1',
    metaChannel: service,
    pathfs: service.pathfs,
    log: { error: (fields, message) => errors.push({ fields, message }), warn: quiet, info: quiet },
    ...options,
  });
  const host = `127.0.0.1:${gateway.port}`;
  return { service, gateway, endpoint: `http://${host}`, host, errors };
}
