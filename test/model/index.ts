export { type ExploreOptions, explore, type Report } from './explore.js';
export type { Core } from './member.js';
export { bounds, programme, type SettingName, settings } from './settings.js';
export type { Bounds, Setting } from './world.js';
