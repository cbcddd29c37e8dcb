// What is looked at when nothing is under way: files against the index, volumes' own figures against what lives, and
// what a start would make of the files with and without their index.

import { recoverVolume } from '../../../node/block/recovery.js';
import { type IndexLine, SUPERBLOCK_BYTES } from '../../../proto/block/index.js';
import { MachineClock, Process } from '../process.js';
import { Random } from '../random.js';
import type { FileSystem } from './file-system.js';
import { ACCOUNTS, REBUILT } from './invariants.js';
import { type Life, LOST } from './life.js';
import { mustBeGone, mustLive } from './model.js';
import { ProcessDisk } from './process-disk.js';
import type { Session } from './session.js';
import type { Universe } from './universe.js';
import { DIRECTORY, livesIn, needlesIn, volumeFile, volumeOf } from './volume-files.js';

function volumesOf(fileSystem: FileSystem): number[] {
  const names = [...fileSystem.names.keys()].filter((name) => name.endsWith('.needles'));
  return names.map((name) => volumeOf(name)!).sort((a, b) => a - b); // data files are a volume's
}

/** A disk on which nothing fails, over files that nobody else has. */
function plainDisk({ world, options }: Universe, fileSystem: FileSystem): ProcessDisk {
  const random = new Random(1);
  const times = { turnUs: 1, earlyUs: 0, lateUs: 0 };
  const process = new Process(world, new MachineClock(world, 0), random, times, () => undefined);
  const nothing = (): void => undefined;
  const disk = new ProcessDisk(fileSystem, world, process, random, options, {
    die: nothing,
    wrote: nothing,
    opened: nothing,
  });
  disk.calm = true;
  return disk;
}

/** What a start finds in a volume. */
function recovered(universe: Universe, volume: number, withIndex: boolean): readonly IndexLine[] {
  const kinds = withIndex ? (['needles', 'index'] as const) : (['needles'] as const);
  const files = universe.fileSystem.copyOf(kinds.map((kind) => volumeFile(volume, kind)));
  const lines: IndexLine[] = [];
  const found = recoverVolume(DIRECTORY, volume, plainDisk(universe, files), (message) => {
    universe.invariants.report(REBUILT, `${withIndex ? 'with' : 'without'} its index: ${message}`);
  });
  found.forEach((line) => {
    lines.push({ ...line });
  });
  return lines;
}

/** After a clean stop: an index says what the data file says, and both end where the last needle does. */
export function auditFiles(universe: Universe): void {
  const { fileSystem, invariants, model } = universe;
  for (const volume of volumesOf(fileSystem)) {
    if (model.damage.has(volume)) continue;
    const kept = recovered(universe, volume, true);
    const rebuilt = recovered(universe, volume, false);
    const same = JSON.stringify(kept) === JSON.stringify(rebuilt);
    if (!same) invariants.report(REBUILT, `volume ${volume}: ${kept.length} lines, ${rebuilt.length} found`);
    const { size, cache } = fileSystem.names.get(volumeFile(volume, 'needles'))!; // listed
    const needles = needlesIn(cache.subarray(0, size));
    const last = needles.at(-1);
    const end = last === undefined ? SUPERBLOCK_BYTES : last.offset + last.bytes;
    if (size !== end) invariants.report(ACCOUNTS, `volume ${volume} has ${size} bytes, its last needle ends at ${end}`);
    // The names that were removed, and the lines of tombstones in closed files, may come back or go with the power.
    if (universe.has('power')) continue;
    const index = fileSystem.names.get(volumeFile(volume, 'index'));
    const whole = index !== undefined && index.size >= 32 * (1 + needles.length);
    // Lines that found no space for too long are given up.
    if (!whole && universe.calm && !universe.has('full-disk')) {
      invariants.report(REBUILT, `volume ${volume}: its index lacks lines after a clean stop`);
    }
    const unfinished = `${volumeFile(volume, 'needles')}.new`;
    if (fileSystem.names.has(unfinished)) invariants.report(ACCOUNTS, `${unfinished} is left behind`);
  }
}

/** Volumes' figures against their files and what is known to live; nothing is under way. */
export async function auditVolumes(universe: Universe, life: Life, session: Session): Promise<void> {
  const { invariants, fileSystem, model } = universe;
  for (let thread = 0; thread < life.threads; thread++) {
    const statsOf = async () => {
      const result = await life.request(thread, 'volumeStats', {});
      return result === LOST ? [] : (result.value?.volumes ?? []);
    };
    for (const stats of await statsOf()) {
      const listed = await session.list(life, stats.volume);
      if (listed === undefined || model.damage.has(stats.volume)) continue;
      // It may have been compacted meanwhile.
      const after = (await statsOf()).find(({ volume }) => volume === stats.volume);
      if (JSON.stringify(after) !== JSON.stringify(stats)) continue;
      const bytes = [...listed.values()].reduce((sum, length) => sum + length, 0);
      const wrong = (what: string): void => invariants.report(ACCOUNTS, `volume ${stats.volume}: ${what}`);
      if (listed.size !== stats.liveNeedles) wrong(`${stats.liveNeedles} needles live, ${listed.size} are listed`);
      if (bytes !== stats.liveBytes) wrong(`${stats.liveBytes} bytes live, ${bytes} are listed`);
      const { cache, size } = fileSystem.names.get(volumeFile(stats.volume, 'needles'))!; // it is served
      const needles = needlesIn(cache.subarray(0, size));
      const last = needles.at(-1);
      const end = last === undefined ? SUPERBLOCK_BYTES : last.offset + last.bytes;
      if (needles.length !== stats.needles) wrong(`${stats.needles} needles, ${needles.length} in its file`);
      if (end !== stats.fileBytes) wrong(`${stats.fileBytes} bytes, its last needle ends at ${end}`);
      for (const id of listed.keys()) if (!livesIn(needles, id)) wrong(`block ${id} lives, and not in its file`);
      auditKnown(universe, stats.volume, listed);
    }
  }
}

function auditKnown({ model, invariants }: Universe, volume: number, listed: ReadonlyMap<number, number>): void {
  let known = 0;
  for (const { blob, block } of model.blocks(volume)) {
    if (listed.has(block.id)) known++;
    const wrong = mustLive(model, blob, block)
      ? !listed.has(block.id)
      : mustBeGone(model, blob, block) && listed.has(block.id);
    if (wrong) invariants.report(ACCOUNTS, `volume ${volume}: block ${block.id} is counted as it is not`);
  }
  const unknown = listed.size - known;
  if (unknown > model.orphans.length) {
    invariants.report(ACCOUNTS, `volume ${volume}: ${unknown} blocks live that nobody wrote`);
  }
}
