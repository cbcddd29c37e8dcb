// The limit of S3 figures: a uWebSockets.js server that answers GET with as many bytes from memory as the last PUT had,
// HEAD and DELETE with an empty answer, PUT likewise when the body has come. Port in the first argument.

import * as uWS from 'uWebSockets.js';

const MAX_BODY_BYTES = 64 * 1024 * 1024;
let body: Buffer = Buffer.alloc(0);

const app = uWS.App();
app.get('/*', (response) => {
  response.end(body);
});
app.head('/*', (response) => {
  response.end();
});
app.del('/*', (response) => {
  response.end();
});
app.put('/*', (response) => {
  let bytes = 0;
  response.onAborted(() => {});
  response.onData((piece, last) => {
    bytes += piece.byteLength;
    if (!last) return;
    if (body.length !== bytes && bytes <= MAX_BODY_BYTES) body = Buffer.alloc(bytes, 'x');
    response.end();
  });
});
app.listen('127.0.0.1', Number(process.argv[2]), (socket) => {
  process.stdout.write(socket ? 'ready\n' : 'no port\n');
});
process.on('SIGTERM', () => process.exit(0));
