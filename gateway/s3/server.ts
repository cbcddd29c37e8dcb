// The gateway's server on one thread: takes a request apart, proves who it is from, hands it to its handler, and turns
// whatever is thrown into an answer. It counts connections and the requests that outlive their first turn.

import './environment.js';
import type { HttpRequest, HttpResponse, us_listen_socket } from 'uWebSockets.js';
import * as uWS from 'uWebSockets.js';
import { limits } from '../../proto/limits.js';
import type { Identity } from './auth/keys.js';
import { readClaim, verifyClaim } from './auth/sigv4.js';
import { Body } from './body/body.js';
import { S3Error, s3ErrorOf } from './errors.js';
import { Exchange, type ExchangeServer } from './http/exchange.js';
import { targetOf } from './http/target.js';
import { routeOf } from './router.js';
import { S3Service, type ServiceOptions } from './service.js';

export interface GatewayOptions extends Partial<Pick<ServiceOptions, 'region' | 'domains' | 'now' | 'connectionsMax'>> {
  /** 0: a free one. All gateway threads share one port. */
  readonly port: number;
  readonly host: string;
  readonly metaChannel: ServiceOptions['metaChannel'];
  readonly pathfs: ServiceOptions['pathfs'];
  readonly log: ServiceOptions['log'];
}

export interface Gateway {
  readonly port: number;
  /** Takes no more connections, ends what is under way within limits.s3CloseMs, then closes all. */
  close(): Promise<void>;
}

/** Starts the gateway on this thread. Rejects when the port cannot be listened on. */
export function startGateway(options: GatewayOptions): Promise<Gateway> {
  const service = new S3Service({
    metaChannel: options.metaChannel,
    pathfs: options.pathfs,
    region: options.region ?? 'us-east-1',
    domains: (options.domains ?? []).map((domain) => domain.toLowerCase()),
    log: options.log,
    now: options.now ?? Date.now,
    connectionsMax: options.connectionsMax ?? limits.s3Connections,
  });
  return new Server(service).listen(options.host, options.port);
}

class Server implements ExchangeServer {
  private readonly app = uWS.App();
  private connections = 0;
  private inFlight = 0;
  closing = false;
  private onIdle: (() => void) | undefined;
  private readonly onConnection = (res: HttpResponse, change: number): void => {
    this.connections += change;
    if (this.connections > this.service.connectionsMax && change > 0) res.close();
  };

  constructor(private readonly service: S3Service) {
    this.app.filter(this.onConnection);
    this.app.any('/*', (res, req) => this.onRequest(res, req));
  }

  listen(host: string, port: number): Promise<Gateway> {
    return new Promise((resolve, reject) => {
      this.app.listen(host, port, (socket) => {
        if (socket === false) {
          reject(new Error(`the S3 gateway cannot listen on ${host}:${port}: is the port taken, or not allowed?`));
          return;
        }
        // The library's typings call a listening socket and a socket by two names; both are handles to the same.
        resolve({ port: uWS.us_socket_local_port(socket as uWS.us_socket), close: () => this.close(socket) });
      });
    });
  }

  private async close(socket: us_listen_socket): Promise<void> {
    if (this.closing) return;
    this.closing = true;
    uWS.us_listen_socket_close(socket);
    if (this.inFlight > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limits.s3CloseMs);
        this.onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.app.close();
  }

  ended(): void {
    this.inFlight--;
    if (this.inFlight === 0) this.onIdle?.();
  }

  private onRequest(res: HttpResponse, req: HttpRequest): void {
    let x: Exchange;
    try {
      x = new Exchange(res, req, this);
    } catch (error) {
      this.refuse(res, error);
      return;
    }
    try {
      const waiting = this.start(x);
      if (waiting === undefined || x.answered) return;
      this.inFlight++;
      x.watch();
      waiting.catch((error: unknown) => this.fail(x, error));
    } catch (error) {
      this.fail(x, error);
    }
  }

  /** Undefined when the request has been answered already. */
  private start(x: Exchange): Promise<void> | undefined {
    const { service } = this;
    const length = x.length('content-length');
    if (x.method === 'PUT' || x.method === 'POST') x.body = new Body(x, length);
    const target = targetOf(x.path, x.headers.get('host'), service.domains);
    x.bucket = target.bucket;
    x.key = target.key;
    if (x.method === 'OPTIONS') throw new S3Error('AccessForbidden');
    const nowMs = service.now();
    const claim = readClaim(x, nowMs);
    x.claim = claim;
    if (x.headers.has('x-amz-security-token') || x.query.has('X-Amz-Security-Token')) throw new S3Error('InvalidToken');
    const identity = service.keys.find(claim.accessKey, nowMs);
    if (identity instanceof Promise) {
      x.body?.hold();
      return identity.then((found) => this.dispatch(x, found));
    }
    return this.dispatch(x, identity) ?? undefined;
  }

  private dispatch(x: Exchange, identity: Identity): void | Promise<void> {
    x.identity = identity;
    verifyClaim(x, x.claim, identity.signingKey(x.claim.date, x.claim.region));
    return routeOf(x)(x, this.service);
  }

  private fail(x: Exchange, error: unknown): void {
    const known = s3ErrorOf(error);
    if (known === undefined) {
      const { method, path, requestId } = x;
      this.service.log.error({ err: error, method, path, request: requestId }, 'a request failed unexpectedly');
    }
    x.sendError(known ?? new S3Error('InternalError'));
  }

  /** Answers a request whose head cannot even be taken apart. */
  private refuse(res: HttpResponse, error: unknown): void {
    const known = s3ErrorOf(error);
    if (known === undefined) this.service.log.error({ err: error }, 'the head of a request could not be read');
    res.writeStatus('400 Bad Request').end(undefined, true);
  }
}
