import { builder } from './builder.ts';
import './scalars.ts';
import './types/notice.ts';
import './types/session.ts';
import './types/user.ts';
import './types/user-error.ts';

/** The executable schema. `schema.graphql` is printed from it. */
export const schema = builder.toSchema({ sortSchema: true });
