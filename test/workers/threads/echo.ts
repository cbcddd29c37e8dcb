// A thread that answers every request with what it was sent.

import { joinHost } from '../../../workers/index.js';

const host = joinHost();
host.serve((request) => {
  const body = request.body.buffer.subarray(request.body.position, request.body.end);
  request.answer(request.kind % 100, body, [request.payload]);
});
host.ready();
