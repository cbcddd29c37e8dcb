export * from './index-line.js';
export * from './needle.js';
export * from './operations.js';
