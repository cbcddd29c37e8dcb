// Takes down what clients of a real metadata service ask and are answered, as a history for the file system's model.

import type { MetaChannel } from '../../client/channel/index.js';
import type { MetaOperations } from '../../proto/meta/index.js';
import type { AnswerOf } from '../../proto/operation.js';
import { OfsError, Status } from '../../proto/status.js';
import type { FileAnswer, FileOperation, FileRequest } from './file-operations.js';
import { UNKNOWN } from './history.js';
import type { Answers } from './rule.js';

/** Whether the request was carried out, or will be, nobody can tell from these. */
const OUTCOME_UNKNOWN: ReadonlySet<Status> = new Set([
  Status.TIMEOUT,
  Status.CLOSED,
  Status.NOT_LEADER,
  Status.IO,
  Status.RETRY_TOO_OLD,
]);

/** What a history says of an operation that ended with this status; `answer` is that of OK. */
export function fileAnswer(status: Status, answer: FileAnswer['answer'] = null): FileOperation['answer'] {
  return OUTCOME_UNKNOWN.has(status) ? UNKNOWN : { status, answer };
}

type ServiceRequest = Exclude<FileRequest, { name: 'append' }>;

export class Recorder {
  /** In the order of the calls. */
  readonly history: FileOperation[] = [];
  private events = 0;

  /** Calls the service for a client. Resolves with what is taken down: an error of the world is an answer too. */
  async call(
    meta: Pick<MetaChannel, 'call'>,
    from: { client: number | string; group: number },
    asked: ServiceRequest,
  ): Promise<FileOperation['answer']> {
    const { client, group } = from;
    const begun: FileOperation = { client, invoked: ++this.events, returned: null, request: asked, answer: UNKNOWN };
    const index = this.history.push(begun) - 1;
    const answer = await this.answerOf(meta, group, asked);
    this.history[index] = { ...begun, returned: ++this.events, answer };
    return answer;
  }

  private async answerOf(
    meta: Pick<MetaChannel, 'call'>,
    group: number,
    asked: ServiceRequest,
  ): Promise<FileOperation['answer']> {
    try {
      // One name has one kind of request and answer.
      const { name, request } = asked as { name: 'lookup'; request: { parent: number; name: string } };
      const payload = asked.name === 'writeCommit' ? asked.request.payload : undefined;
      const answer: AnswerOf<MetaOperations['lookup']> = await meta.call(name, group, request, payload);
      return fileAnswer(Status.OK, answer as Answers['lookup']);
    } catch (error) {
      if (!(error instanceof OfsError)) throw error;
      return fileAnswer(error.status);
    }
  }
}
