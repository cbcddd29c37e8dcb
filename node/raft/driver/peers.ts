// Which nodes are heard of. Groups in which nothing happens are silent, so that whether their leader lives is a matter
// of its node: a node that leads such groups lets the others hear that it lives, and when it is not heard of for an
// election timeout the groups that rely on it are woken.

export class Peers {
  private ticks = 0;
  private readonly heardAt = new Map<number, number>();

  constructor(private readonly patienceTicks: number) {}

  tick(): void {
    this.ticks++;
  }

  heard(node: number): void {
    this.heardAt.set(node, this.ticks);
  }

  /** Whether a node on which something rests was not heard of for too long; it is given time from the first question on. */
  silent(node: number): boolean {
    const at = this.heardAt.get(node);
    if (at === undefined) this.heard(node);
    return at !== undefined && this.ticks - at > this.patienceTicks;
  }
}
