// fsck, the pure part: give each group's rows to a GroupChecker in order of keys, then every living block to the ledger
// that they share, then `finish` all; the findings say what does not hold.

export { GroupChecker } from './checker.js';
export { type Finding, Findings, type Severity } from './findings.js';
export { BlobLedger } from './ledger.js';
