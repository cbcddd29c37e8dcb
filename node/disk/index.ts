export { isNoSpace, Reserve } from './reserve.js';
