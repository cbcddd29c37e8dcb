// Writes through a mount until it is killed, as a process of its own: whole files that take their name by rename, and
// a log that grows by records. Says on standard output what it begins and what it was promised, a JSON line each.
// Arguments: directory, writer, first generation.

import fs from 'node:fs';
import path from 'node:path';
import { contentOf } from '../support/content.js';

const NAMES = 30;
const MAX_BYTES = 200 * 1024;
const RECORD_BYTES = 3000;

const [, , directory, writer, firstGeneration] = process.argv;
const home = path.join(directory!, `m${writer}`);
const log = path.join(home, 'log');
let generation = Number(firstGeneration);

function say(event: object): void {
  fs.writeSync(1, `${JSON.stringify(event)}\n`);
}

function writeFile(): void {
  generation++;
  const name = `f${generation % NAMES}`;
  const content = contentOf(`m${writer}/${name}`, generation, MAX_BYTES);
  const temporary = path.join(home, `tmp${generation}`);
  say({ begin: name, generation });
  const fd = fs.openSync(temporary, 'w');
  fs.writeSync(fd, content, 0, content.length >> 1);
  fs.writeSync(fd, content, content.length >> 1);
  fs.fsyncSync(fd);
  fs.closeSync(fd);
  fs.renameSync(temporary, path.join(home, name));
  say({ done: name, generation });
}

function removeFile(): void {
  const name = `f${(generation * 7) % NAMES}`;
  if (!fs.existsSync(path.join(home, name))) return;
  say({ begin: name, generation: null });
  fs.unlinkSync(path.join(home, name));
  say({ done: name, generation: null });
}

function appendRecord(fd: number): void {
  const size = fs.fstatSync(fd).size;
  const record = contentOf(`m${writer}/log`, Math.floor(size), RECORD_BYTES);
  say({ append: size, length: record.length });
  fs.writeSync(fd, record);
  fs.fsyncSync(fd);
  say({ appended: size + record.length });
}

fs.mkdirSync(home, { recursive: true });
const logFd = fs.openSync(log, 'a');
for (let round = 0; ; round++) {
  writeFile();
  appendRecord(logFd);
  if (round % 5 === 4) removeFile();
}
