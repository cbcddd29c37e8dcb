export * from './attributes.js';
export * from './names.js';
export * from './object.js';
export * from './operations.js';
export * from './rows.js';
export * from './slices.js';
export * from './writeset.js';
