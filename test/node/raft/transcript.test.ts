// Golden transcripts: what the core does in the situations that its rules are about, told command by command. A
// transcript is commands (`> …`, transcript.ts) and under each what it led to; with RECORD=1 in the environment it is
// written anew.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { sourcePath } from './source.js';
import { Transcript } from './transcript.js';

const FOLDER = sourcePath('test/node/raft/transcripts');

/** The transcript with what its commands say now; comments and blank lines stay. */
function rerun(text: string): string {
  const transcript = new Transcript();
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('> ')) {
      lines.push(line, ...transcript.run(line.slice(2)).map((said) => `  ${said}`));
    } else if (!line.startsWith('  ')) {
      lines.push(line);
    }
  }
  return lines.join('\n');
}

for (const name of fs.readdirSync(FOLDER).sort()) {
  test(`the core does what transcripts/${name} tells`, () => {
    const file = path.join(FOLDER, name);
    const text = fs.readFileSync(file, 'utf8');
    const now = rerun(text);
    if (process.env.RECORD === '1') fs.writeFileSync(file, now);
    else assert.strictEqual(now, text);
  });
}
