// The form of a handler that changes something: it works on an Edit, which is finished for it.

import type { MetaOperationName } from '../../../proto/meta/index.js';
import type { MetaAnswer, MetaRequest, WriteContext, WriteHandler } from '../view.js';
import { Edit } from './edit.js';

export type EditHandler<K extends MetaOperationName> = (
  edit: Edit,
  request: MetaRequest<K>,
  context: WriteContext,
) => MetaAnswer<K>;

/** Runs the handler and then writes what its Edit collected. */
export function writes<K extends MetaOperationName>(handler: EditHandler<K>): WriteHandler<K> {
  return (transaction, request, context) => {
    const edit = new Edit(transaction, context.partition, context.now);
    const answer = handler(edit, request, context);
    edit.finish();
    return answer;
  };
}
