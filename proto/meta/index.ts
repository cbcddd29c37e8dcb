export * from './attributes.js';
export * from './object.js';
export * from './operations.js';
export * from './rows.js';
export * from './slices.js';
