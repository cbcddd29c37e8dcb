// What the main thread tells each thread of the node when it starts it.

export interface MetaThreadData {
  readonly directory: string;
  readonly thread: number;
  readonly threads: number;
  readonly host: string;
  readonly port: number;
  readonly bootId: string;
  /** Ports of all meta and block threads, by thread. */
  readonly metaPorts: readonly number[];
  readonly blockPorts: readonly number[];
}

export interface BlockThreadData {
  readonly directory: string;
  readonly thread: number;
  readonly threads: number;
  readonly host: string;
  readonly port: number;
}
