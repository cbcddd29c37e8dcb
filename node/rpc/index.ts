export { serveTcp, type TcpServer } from './tcp-server.js';
