// Numbers in disjoint sets that can be joined. A number that was never joined is a set of its own.

export class Sets {
  private readonly above = new Map<number, number>();

  /** The number that stands for the set of this one, until it is joined again. */
  find(id: number): number {
    let at = id;
    for (let next = this.above.get(at); next !== undefined; next = this.above.get(at)) at = next;
    if (at !== id) this.above.set(id, at);
    return at;
  }

  join(left: number, right: number): void {
    const [a, b] = [this.find(left), this.find(right)];
    if (a !== b) this.above.set(a, b);
  }
}
