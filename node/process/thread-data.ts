// What the main thread tells each thread of the node when it starts it.

export interface MetaThreadData {
  /** The node's id: the same as long as the directory stays where it is and the machine is up. */
  readonly node: string;
  readonly directory: string;
  readonly thread: number;
  readonly threads: number;
  readonly host: string;
  readonly port: number;
  readonly bootId: string;
  /** Which start of the node this is, as its LeaseFile has it; 0 where there is none. */
  readonly leases: number;
  /** Ports of all meta and block threads, by thread. */
  readonly metaPorts: readonly number[];
  readonly blockPorts: readonly number[];
}

export interface BlockThreadData {
  readonly node: string;
  readonly directory: string;
  readonly thread: number;
  readonly threads: number;
  readonly host: string;
  readonly port: number;
}
