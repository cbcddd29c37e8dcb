// The headers of one request, taken over in one pass because the server's request object dies with its first turn.
// A request has a dozen: two arrays and a linear search are cheaper than any map.

import type { HttpRequest } from 'uWebSockets.js';

let filling: Headers;

function collect(name: string, value: string): void {
  filling.add(name, value);
}

export class Headers {
  readonly names: string[] = [];
  readonly values: string[] = [];

  static of(request: HttpRequest): Headers {
    filling = new Headers();
    request.forEach(collect);
    return filling;
  }

  /** `name` in lower case, as everywhere here. */
  add(name: string, value: string): void {
    this.names.push(name);
    this.values.push(value);
  }

  /** The value of a header, the first if it stands several times; '' if it is not there. */
  get(name: string): string {
    const at = this.names.indexOf(name);
    return at < 0 ? '' : this.values[at]!;
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** All values of a header in order, joined by commas, as a signature covers them; undefined if it is not there. */
  joined(name: string): string | undefined {
    let at = this.names.indexOf(name);
    if (at < 0) return undefined;
    let value = this.values[at]!;
    for (at = this.names.indexOf(name, at + 1); at >= 0; at = this.names.indexOf(name, at + 1)) {
      value += `,${this.values[at]!}`;
    }
    return value;
  }
}
