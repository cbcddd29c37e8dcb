// A thread that answers every request with what it was sent: at once, or slowly, a few in each turn of its event loop.

import { Buffer } from 'node:buffer';
import { joinHost, type Request } from '../../../workers/index.js';

export interface EchoData {
  /** Requests answered in a turn; 0: at once. */
  perTurn: number;
  /** It dies at this request. */
  diesAt?: number;
}

const host = joinHost<EchoData | null>();
const perTurn = host.data?.perTurn ?? 0;
const diesAt = host.data?.diesAt ?? 0;
let served = 0;
const waiting: { request: Request; body: Buffer }[] = [];

function answer(request: Request, body: Buffer): void {
  request.answer(request.kind % 100, body, [request.payload]);
}

function answerSome(): void {
  for (const { request, body } of waiting.splice(0, perTurn)) answer(request, body);
  if (waiting.length > 0) setTimeout(answerSome, 1);
}

host.serve((request) => {
  if (++served === diesAt) process.exit(11);
  const body = request.body.buffer.subarray(request.body.position, request.body.end);
  if (perTurn === 0) answer(request, body);
  else if (waiting.push({ request, body: Buffer.from(body) }) === 1) setTimeout(answerSome, 1);
});
host.ready();
