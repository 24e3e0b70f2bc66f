import { builder } from './builder.ts';
import './scalars.ts';
import './types/account.ts';
import './types/api-key.ts';
import './types/audit.ts';
import './types/direct-link.ts';
import './types/download.ts';
import './types/change.ts';
import './types/editing.ts';
import './types/entry.ts';
import './types/file.ts';
import './types/invitation.ts';
import './types/media.ts';
import './types/notice.ts';
import './types/password.ts';
import './types/provider.ts';
import './types/search.ts';
import './types/session.ts';
import './types/share.ts';
import './types/transfer.ts';
import './types/upload.ts';
import './types/user.ts';
import './types/user-session.ts';
import './types/vault.ts';
import './types/linking.ts';
import './types/user-error.ts';

/** The executable schema. `schema.graphql` is printed from it. */
export const schema = builder.toSchema({ sortSchema: true });
