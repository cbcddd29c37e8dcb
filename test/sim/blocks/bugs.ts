// Bugs of the block store to plant, a line each: what it is, and what is written in place of what in the compiled code.
// The text to be replaced must be there exactly once, so a bug that no longer fits the code says so.

import type { Bug } from '../shell/simulation.js';

function bug(name: string, ...edits: readonly (readonly [file: string, from: string, to: string])[]): Bug {
  const edited = edits.map(([file, from, to]) => ({
    file: `${file.includes('/') ? '' : 'node/block/'}${file}.js`,
    from,
    to,
  }));
  return { name, edits: edited };
}

const appends: readonly Bug[] = [
  bug(
    'index lines are written before their needles are on disk',
    [
      'volume',
      'this.buffers = buffers;\n        return bytes;',
      'this.buffers = buffers; let place = this.tail; for (const { data, blocks, key, session } of batch) { const length = data?.length ?? 0; this.index.add({ kind: data === null ? IndexKind.TOMBSTONE : IndexKind.NEEDLE, blocks, key, offset: place, length, session }); place += needleBytes(length); } try { this.index.flush(); } catch (error) { this.context.fatal(error); }\n        return bytes;',
    ],
    [
      'volume',
      'this.index.add({\n                kind: append',
      'if (false) this.index.add({\n                kind: append',
    ],
  ),
  bug('tombstones are not synced', [
    'volume',
    'this.context.disk.fdatasyncSync(this.dataFd);',
    'if (batch.some(({ data }) => data !== null)) this.context.disk.fdatasyncSync(this.dataFd);',
  ]),
  bug('large needles are not synced', [
    'volume',
    'await this.context.disk.fdatasync(this.dataFd);\n        this.complete',
    'this.complete',
  ]),
  bug('a tombstone that found no space is answered', [
    'volume',
    'append.finish(Status.NOSPC);',
    'append.finish(append.data === null ? Status.OK : Status.NOSPC);',
  ]),
  bug('an index without space ends the process', ['files', 'if (isNoSpace(error))', 'if (false)']),
  bug('lines are given up though there is space', [
    'files',
    'this.lines >= limits.indexBacklogLines && !this.flush()',
    'this.lines >= limits.indexBacklogLines',
  ]),
  bug('a disk that was full stays full', ['store', 'return this.reserve.ensure();', 'return false;']),
  bug('deleted bytes are counted as living', ['volume', 'this.liveBytes -= this.table.length(at);', '']),
  bug('the last blob is not known', [
    'store',
    'blobSequence(write.blob) >= volume.nextSequence',
    'blobSequence(write.blob) >= volume.nextSequence - 1',
  ]),
  bug('writes wait without a bound', ['service', 'if (this.writes >= limits.queueRequests)', 'if (false)']),
  bug('files of sealed volumes stay open', ['store', 'if (other.mayClose)', 'if (false)']),
  bug('a retry with other bytes is taken', ['service', 'if (!same)', 'if (false)']),
];

const starts: readonly Bug[] = [
  bug('a torn needle is accepted', [
    'recovery',
    'needleVerifies(window.at(position, bytes), window.offset, header.length)',
    'window.at(position, bytes) !== null',
  ]),
  bug('a start stops behind the first needle that does not verify', [
    'recovery',
    'position += NEEDLE_ALIGN;\n    }\n}',
    'return found;\n    }\n}',
  ]),
  bug('a torn tail is left where it is', ['recovery', 'disk.ftruncateSync(dataFd, summary.tail);', ';']),
  bug('what a failed sync left in the cache is believed', [
    'recovery',
    'writeLastAgain(disk, dataFd, scanned);\n    const',
    'const',
  ]),
  bug('a start does not sync what it found', ['recovery', 'disk.fsyncSync(dataFd);\n    const index', 'const index']),
  bug('an index may have its name before its data', [
    'files',
    'renamed();\n    disk.syncDirectorySync(blocksDirectory(directory));\n    disk.renameSync(indexPath',
    'renamed();\n    disk.renameSync(indexPath',
  ]),
  bug('a sync that fails at a start is taken for damage', [
    'store',
    "code === 'EIO' && syscall === 'read'",
    "code === 'EIO'",
  ]),
  bug('the last id is given out again after a start', [
    'recovery',
    'Math.max(summary.nextSequence, blobSequence(line.key) + 1);\n}\n/**',
    'Math.max(summary.nextSequence, blobSequence(line.key));\n}\n/**',
  ]),
  bug('damaged needles are dropped with a word', ['recovery', 'damaged.push({ ...line });', '']),
  bug('damaged needles are dropped without a word', [
    'recovery',
    'const damaged = findDamaged(directory, lines, scanned, superblock, warn);',
    'const damaged = [];',
  ]),
  bug(
    'the index of another file is believed',
    ['recovery', 'line.length !== superblock.cookie', 'false'],
    ['proto/block/index-line', 'let crc = ~cookie', 'let crc = ~0'],
  ),
  bug('the index of a compaction that ended early is put in place', [
    'recovery',
    'cookieOfIndex(unfinished, superblock.volume, disk) === superblock.cookie',
    'true',
  ]),
  bug('tombstones are forgotten at a start', [
    'store',
    'volume.applyTombstone(line.key, line.blocks);',
    'volume.applyTombstone(line.key, line.blocks - 1);',
  ]),
];

const compactions: readonly Bug[] = [
  bug('a volume is sealed with needles on their way', ['compaction', 'await volume.drainNeedles();', '']),
  bug(
    'a copy takes its place before it is on disk',
    ['compaction', 'await context.disk.fdatasync(copy.dataFd);\n        copy.tail', 'copy.tail'],
    ['compaction', 'await context.disk.fdatasync(copy.dataFd);\n    copy.index', 'copy.index'],
  ),
  bug('tombstones of a copy are not synced', [
    'compaction',
    'await context.disk.fdatasync(copy.dataFd);\n    copy.index',
    'copy.index',
  ]),
  bug('what is deleted during a compaction comes back at once', [
    'compaction',
    'killRuns(copy.table, deleted);',
    '[];',
  ]),
  bug('what is deleted during a compaction comes back at the next start', [
    'compaction',
    'const runs = killRuns(copy.table, deleted);',
    'killRuns(copy.table, deleted); const runs = [];',
  ]),
  bug('a copy lacks needles until the next start', [
    'compaction',
    'copy.table.insert(key, facts(volume.table, slot, offset));',
    'if (next % 7 !== 6) copy.table.insert(key, facts(volume.table, slot, offset));',
  ]),
  bug(
    'the old pair takes tombstones while the new is put in place',
    ['compaction', 'await volume.hold();\n        try', 'try'],
    ['compaction', 'swapping = true;', 'volume.holds++; swapping = true;'],
  ),
  bug(
    'a volume is used before its name is on disk',
    [
      'files',
      'renamed();\n    disk.syncDirectorySync(blocksDirectory(directory));\n    disk.renameSync',
      'renamed();\n    disk.renameSync',
    ],
    ['files', 'renamed();\n    disk.syncDirectorySync(blocksDirectory(directory));\n}', 'renamed();\n}'],
  ),
  bug(
    'a compaction that waited for another begins while the store is closed',
    ['store', 'if (this.closing)\n            return result;', ''],
    ['volume', 'if (this.idle)\n            for', 'if (false)\n            for'],
  ),
  bug('what was left of a compaction stays', ['compaction', 'discard(volume, copy, context);\n    }', ';\n    }']),
];

const reads: readonly Bug[] = [
  bug('a reader does not compare checksums', [
    'reader',
    'return dataFits(buffer.subarray(NEEDLE_HEADER_BYTES, end), 0, buffer, end);',
    'return true;',
  ]),
  bug('readers are not told of another table', ['volume', 'this.context.arena.publish(this.entry, table.place);', '']),
  bug('a reader takes damage for absence', [
    'reader',
    'throw new OfsError(Status.CORRUPT,',
    'throw new OfsError(Status.NOENT,',
  ]),
  bug('a page of a listing is not in order', ['listing', 'subarray(0, count).sort()', 'subarray(0, count)']),
  bug('dead blocks are listed', [
    'index-table',
    'if (word !== 0 && (word & DEAD) === 0)\n                visit',
    'if (word !== 0)\n                visit',
  ]),
];

export const bugs: readonly Bug[] = [...appends, ...starts, ...compactions, ...reads];
