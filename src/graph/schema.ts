import { builder } from './builder.ts';
import './scalars.ts';
import './types/account.ts';
import './types/entry.ts';
import './types/file.ts';
import './types/notice.ts';
import './types/provider.ts';
import './types/session.ts';
import './types/user.ts';
import './types/user-error.ts';

/** The executable schema. `schema.graphql` is printed from it. */
export const schema = builder.toSchema({ sortSchema: true });
