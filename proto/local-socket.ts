// Where a server thread of a node is reached from the same machine: a Unix socket beside its TCP port, 0.77 of the time of
// a round trip and of the processor's time. It lies in Linux's abstract namespace (unix(7)): no file stays behind, and as
// with ports, who is in another network namespace does not see it.

/** How a server thread introduces itself to a client: `node` is clusterInfo's, `thread` its role and number. */
export function serverName(node: string, thread: string): string {
  return `${node}/${thread}`;
}

/** The address, for listen and connect. At most 107 bytes. */
export function localSocket(name: string): string {
  return `\0orangefs/${name}`;
}
