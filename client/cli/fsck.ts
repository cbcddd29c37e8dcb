// `ofs fsck`: holds every dentry, attribute, chunk and block against each other. Exit code 0: nothing is wrong.

import { crc32 } from 'node:zlib';
import type { Command } from 'commander';
import { limits } from '../../proto/limits.js';
import { type RemoteNode, readBlock } from '../connect/index.js';
import { BlobLedger, Findings, GroupChecker } from './fsck/index.js';
import { type JsonOption, jsonOption, type ServerOption, serverOption } from './options.js';
import { Progress, print, printJson } from './output.js';
import { ifGone, livingBlocks, tableRows } from './scan.js';
import { withNode } from './session.js';
import { allVolumes } from './volume.js';

interface FsckOptions extends ServerOption, JsonOption {
  data: boolean;
}

interface Check {
  readonly findings: Findings;
  readonly rows: number;
  readonly blocks: number;
  /** The metadata stayed as it was during the check, so what was found is so. */
  readonly steady: boolean;
}

const ATTEMPTS = 5;

export function fsckCommand(program: Command): void {
  program
    .command('fsck')
    .description('check every name, attribute, chunk and block against each other; exit code 0 when clean')
    .option('--data', 'read every block and check its checksums too', false)
    .addOption(serverOption())
    .addOption(jsonOption())
    .action((options: FsckOptions) => withNode(options.server, (node) => fsck(node, options)));
}

async function fsck(node: RemoteNode, options: FsckOptions): Promise<void> {
  const progress = new Progress();
  let check = await checkOnce(node, options, progress);
  // Rows are read in pages: a change between two of them can look like an error. Then only a second look tells.
  for (let attempt = 1; attempt < ATTEMPTS && !check.steady && check.findings.counts.error > 0; attempt++) {
    check = await checkOnce(node, options, progress);
  }
  progress.end();
  report(check, options);
}

function report({ findings, rows, blocks, steady }: Check, { json }: JsonOption): void {
  const { list, counts } = findings;
  if (counts.error > 0) process.exitCode = 1;
  if (json) {
    printJson({ clean: counts.error === 0, steady, rows, blocks, ...counts, findings: list });
    return;
  }
  for (const { severity, text } of list) if (severity !== 'garbage') print(`${severity}: ${text}`);
  print(`${rows} rows and ${blocks} blocks checked: ${counts.error} errors, ${counts.warning} warnings`);
  if (counts.garbage > 0) print(`${counts.garbage} blocks that nothing names; npx ofs gc frees what is left over`);
  if (counts.error > 0 && !steady) print('The metadata was changing during the check; stop the writers to be sure.');
}

async function checkOnce(node: RemoteNode, options: FsckOptions, progress: Progress): Promise<Check> {
  const findings = new Findings();
  const ledger = new BlobLedger(findings);
  const volumes = await allVolumes(node);
  const before = await appliedIndexes(node, volumes);
  let rows = 0;
  for (const { name, group } of volumes) {
    const checker = new GroupChecker(name, findings, ledger);
    for await (const { key, value } of tableRows(node, group, '')) {
      checker.row(key, Buffer.from(value));
      progress.update(`${name}: ${++rows} rows`);
    }
    checker.finish();
  }
  let blocks = 0;
  for await (const { block, length } of livingBlocks(node)) {
    ledger.block(block, length);
    if (options.data) await checkData(node, block, length, findings);
    progress.update(`${++blocks} blocks`);
  }
  ledger.finish();
  const after = await appliedIndexes(node, volumes);
  return { findings, rows, blocks, steady: before === after };
}

async function appliedIndexes({ meta }: RemoteNode, volumes: readonly { group: number }[]): Promise<string> {
  const states = await Promise.all(volumes.map(({ group }) => meta.call('groupStatus', group, {}).catch(ifGone)));
  return states.map((state) => (state === undefined ? 'gone' : `${state.appliedIndex}/${state.lastIndex}`)).join(' ');
}

/** Reads a block whole and checks every piece. */
async function checkData(node: RemoteNode, block: number, length: number, findings: Findings): Promise<void> {
  const { answer, payload } = await readBlock(node, block, length).catch((error: Error) => {
    findings.add('error', `block ${block}: ${error.message}`);
    return { answer: { checksums: [] as number[] }, payload: Buffer.alloc(0) };
  });
  answer.checksums.forEach((checksum, piece) => {
    const at = piece * limits.checksumPieceBytes;
    if (crc32(payload.subarray(at, at + limits.checksumPieceBytes)) !== checksum) {
      findings.add('error', `block ${block}: the bytes from ${at} on do not match their checksum`);
    }
  });
}
