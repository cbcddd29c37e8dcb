export * from './answers.js';
export * from './constants.js';
export { type Field, type Layout, type LayoutOf, layout } from './layout.js';
export * from './requests.js';
