// Where the sources are, for tests that read them or record beside them.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** A path in the source tree; tests run compiled, in a folder of it or from its root. */
export function sourcePath(relative: string): string {
  const tried = [process.cwd()];
  for (let at = path.dirname(fileURLToPath(import.meta.url)); at !== path.dirname(at); at = path.dirname(at))
    tried.push(at);
  const root = tried.find((folder) => fs.existsSync(path.join(folder, 'node/raft/core/raft.ts')));
  assert(root !== undefined, 'run the tests in the source tree');
  return path.join(root, relative);
}
