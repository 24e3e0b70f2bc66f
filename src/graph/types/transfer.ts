import { ConflictError, NotFoundError } from '../../lib/errors.ts';
import type { PhaseProgress, TransferView } from '../../services/transfers.ts';
import type {
  TransferKind,
  TransferPhase,
  TransferRoute,
  TransferState,
  Verification,
} from '../../storage/entities/transfer.ts';
import { builder } from '../builder.ts';
import { connectionComplexity, pageQuery, toConnection } from '../connection.ts';
import { viewerOf } from '../context.ts';
import { enumValues } from '../enums.ts';
import { decodeIdOf } from '../ids.ts';
import { EntryOperationResult } from './editing.ts';
import { EntryInterface, Folder } from './entry.ts';
import { UserType } from './user.ts';
import { COMMON_ERRORS, errorData, UserError } from './user-error.ts';

const KINDS: Readonly<Record<TransferKind, string>> = {
  UPLOAD: 'A file that a client sends.',
  TEXT: 'A text that came with its operation.',
  URL: 'A file that the server fetches from an address.',
  IMPORT: 'A file that lies on the server.',
  COPY: 'A copy of an entry.',
  MOVE: 'An entry on its way to another drive.',
};
const STATES: Readonly<Record<TransferState, string>> = {
  WAITING: "For the client's bytes.",
  QUEUED: 'For its turn, or for its next try.',
  RUNNING: 'At work.',
  PAUSED: 'Held by its owner, until it is resumed.',
  SUCCEEDED: 'Done: the entry is there. Final.',
  FAILED: 'Given up; see `error`. Final, unless it is retried.',
  CANCELLED: 'Ended by its owner. Final.',
};
const PHASES: Readonly<Record<TransferPhase, string>> = {
  LISTING: 'The folder is read, and what is in it is queued.',
  RECEIVING: 'Bytes come in: from the client, or from where the server fetches them.',
  HASHING: 'The hashes of the bytes are computed and compared with those promised.',
  NEGOTIATING: 'The drive is asked whether it has the bytes, and how it wants them.',
  SENDING: 'Bytes go to the drive; of a folder, its items are at work.',
  VERIFYING: 'The drive makes the file, and what it has is checked. Cannot be paused or cancelled.',
};
const ROUTES: Readonly<Record<TransferRoute, string>> = {
  SERVER_SIDE: 'The drive copied it itself.',
  INSTANT: 'The drive had the bytes already.',
  SLICED: 'In slices, each of which can be sent again.',
  STREAMED: 'In one piece.',
};

const VERIFICATIONS: Readonly<Record<Verification, string>> = {
  SHA256: 'Its SHA-256.',
  SHA1: 'Its SHA-1.',
  MD5: 'Its MD5.',
  CRC32: 'Its CRC-32.',
  SIZE: 'Its size only: the drive tells no hash of the bytes.',
  NOTHING: 'Nothing: the drive tells neither hash nor size.',
};

const TransferKindEnum = builder.enumType('TransferKind', {
  description: 'Where the bytes of a transfer come from.',
  values: enumValues(KINDS),
});
const TransferStateEnum = builder.enumType('TransferState', {
  description: 'What a transfer waits for. A client should expect states that it does not know yet.',
  values: enumValues(STATES),
});
const TransferPhaseEnum = builder.enumType('TransferPhase', {
  description: 'What a transfer does just now.',
  values: enumValues(PHASES),
});
export const TransferRouteEnum = builder.enumType('TransferRoute', {
  description: 'Which way the bytes take to their drive.',
  values: enumValues(ROUTES),
});

const TransferVerificationEnum = builder.enumType('TransferVerification', {
  description: 'What was compared at both ends. A client should expect values that it does not know yet.',
  values: enumValues(VERIFICATIONS),
});

const TransferItemCounts = builder
  .objectRef<Record<'total' | 'succeeded' | 'failed' | 'cancelled', number>>('TransferItemCounts')
  .implement({
    description: 'How the parts of a folder that is copied stand.',
    fields: (t) => ({
      total: t.exposeInt('total', { description: 'All that are known; it grows while the folder is read.' }),
      succeeded: t.exposeInt('succeeded', { description: 'Those that are done.' }),
      failed: t.exposeInt('failed', { description: 'Those that failed; each says why.' }),
      cancelled: t.exposeInt('cancelled', { description: 'Those that were cancelled, and are left out.' }),
    }),
  });

const PhaseProgressType = builder.objectRef<PhaseProgress>('TransferPhaseProgress').implement({
  description: 'How far one phase of a transfer is.',
  fields: (t) => ({
    phase: t.expose('phase', {
      type: TransferPhaseEnum,
      description: 'Which one: `RECEIVING`, `HASHING` or `SENDING`. A client should expect others.',
    }),
    bytesDone: t.expose('bytesDone', { type: 'ByteCount', description: 'How many bytes it has done.' }),
    bytesTotal: t.expose('bytesTotal', {
      type: 'ByteCount',
      nullable: true,
      description:
        'How many bytes it has to do; null before that is known. Of a folder it grows while the folder is read, and shrinks by what turns out to need no bytes.',
    }),
    bytesPerSecond: t.exposeFloat('bytesPerSecond', {
      nullable: true,
      description: 'How fast it is; null while nothing moves in it, and where another server is at work on it.',
    }),
    estimatedSecondsLeft: t.field({
      type: 'Int',
      nullable: true,
      description: 'How long it still takes at this speed, in seconds; null while nothing moves in it.',
      resolve: secondsLeft,
    }),
  }),
});

export const Transfer = builder.objectRef<TransferView>('Transfer');

builder.node(Transfer, {
  description:
    'Bytes on their way to a drive. It goes on after a restart of the server. Seen by the user who began it, for 30 days after its end.',
  id: { resolve: ({ id }) => id, description: 'Stays the same for the life of the transfer.' },
  loadMany: async (ids, { viewer, services }) =>
    viewer ? [...(await services.transfers.findMany(viewer, ids))] : ids.map(() => null),
  fields: (t) => ({
    kind: t.expose('kind', { type: TransferKindEnum, description: 'Where the bytes come from.' }),
    state: t.expose('state', { type: TransferStateEnum, description: 'What it waits for, or how it ended.' }),
    phase: t.expose('phase', {
      type: TransferPhaseEnum,
      nullable: true,
      description: 'What it does, or will go on with; null at its end.',
    }),
    route: t.expose('route', {
      type: TransferRouteEnum,
      nullable: true,
      description: 'Which way the bytes take; null before that is known, and where nothing had to be moved.',
    }),
    routeReason: t.exposeString('routeReason', {
      nullable: true,
      description: 'Why the bytes take this route, for a person; null before that is known.',
    }),
    verification: t.expose('verification', {
      type: TransferVerificationEnum,
      nullable: true,
      description:
        'The strongest thing that both ends tell of the bytes and that was found the same; null before its end.',
    }),
    estimatedSecondsLeft: t.field({
      type: 'Int',
      nullable: true,
      description:
        'How long the present phase still takes at its present speed, in seconds; null while nothing moves. Of a folder that is still being read it is too little.',
      resolve: secondsLeft,
    }),
    source: t.field({
      type: EntryInterface,
      nullable: true,
      description:
        'What is copied or moved, as it is now; null when it is gone, is no entry, or is no longer yours to see.',
      resolve: ({ source }, _args, { loaders }) =>
        source.type === 'entry' ? loaders.entry.load({ accountId: source.accountId, ref: source.ref }) : null,
    }),
    itemPath: t.exposeString('itemPath', {
      nullable: true,
      description: 'Of a part of a folder: its place in it, as in `a/b.txt`; null of everything else.',
    }),
    itemOf: t.field({
      type: Transfer,
      nullable: true,
      description: 'The transfer of the folder that this is a part of; null of everything else.',
      resolve: ({ treeId }, _args, { loaders }) => (treeId == null ? null : loaders.transfer.load(treeId)),
    }),
    itemCounts: t.field({
      type: TransferItemCounts,
      nullable: true,
      description: 'How many files and folders the folder has, as far as it is read; null of a file.',
      resolve: countsOf,
    }),
    name: t.exposeString('name', {
      description: 'The name that was asked for. The entry may have another: see the policy `RENAME`.',
    }),
    bytesTotal: t.expose('bytesTotal', {
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes there are; null before that is known.',
    }),
    bytesDone: t.expose('bytesDone', {
      type: 'ByteCount',
      description:
        'How many bytes the present phase has done: it begins anew with each phase. Of a folder, the bytes of its items that the drive has.',
    }),
    bytesPerSecond: t.exposeFloat('bytesPerSecond', {
      nullable: true,
      description:
        'How fast the present phase is; null while nothing moves, and where another server is at work on it.',
    }),
    phases: t.field({
      type: [PhaseProgressType],
      description:
        'The phases that the bytes pass, in their order, each with its own count: what comes in to this server and what goes out to the drive can be two bars. What is behind stays told, after a failure too. None where no byte passes this server. Of a folder the sums of its items, and only what comes in and goes out.',
      resolve: ({ phases }) => [...phases],
    }),
    attempts: t.exposeInt('attempts', { description: 'How often the server has begun to work on it.' }),
    parent: t.field({
      type: Folder,
      nullable: true,
      description: 'The folder that it goes into; null when that is gone, or no longer yours to see.',
      resolve: async ({ accountId, parentRef }, _args, { loaders }) => {
        const view = await loaders.entry.load({ accountId, ref: parentRef });
        return view?.entry.kind === 'FOLDER' ? view : null;
      },
    }),
    entry: t.field({
      type: EntryInterface,
      nullable: true,
      description: 'What came of it, as it is now; null before its end, and when the entry is gone since.',
      resolve: ({ accountId, entryRef }, _args, { loaders }) =>
        entryRef == null ? null : loaders.entry.load({ accountId, ref: entryRef }),
    }),
    error: t.field({
      type: UserError,
      nullable: true,
      description: 'Why it failed, or why it is tried again; null when nothing went wrong.',
      resolve: (transfer, _args, { services }) => {
        const failure = services.transfers.failure(transfer);
        return failure && errorData(failure);
      },
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was asked for.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the server first worked on it; null before. Receiving bytes is not counted as work.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ended; null before.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'When it is given up if nothing moves until then; of a failed one, until when it can be retried. Null when it cannot end that way.',
    }),
  }),
});

builder.objectField(EntryOperationResult, 'transfer', (t) =>
  t.field({
    type: Transfer,
    nullable: true,
    description: 'The job that does it, when bytes must cross drives: follow it. Null when it is done, or failed.',
    resolve: ({ transfer }) => transfer ?? null,
  }),
);

const TransferConnection = builder.connectionObject(
  { type: Transfer, name: 'TransferConnection', description: 'A page of transfers.' },
  { name: 'TransferEdge', description: 'A transfer and its place in the list.' },
);

builder.objectField(Transfer, 'items', (t) =>
  t.field({
    type: TransferConnection,
    description:
      'The parts of a folder, in the order in which they were found; none of a file. Each can be paused, resumed, cancelled and retried by itself. They are no events: follow one with `transferUpdated`.',
    complexity: connectionComplexity,
    args: {
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of the same listing, to begin behind it.' }),
      states: t.arg({
        type: [TransferStateEnum],
        required: { list: false, items: true },
        description: 'Only those in these states, as in `[FAILED]`; left out: all.',
      }),
    },
    resolve: async (transfer, { states, ...page }, { services }) => {
      const query = pageQuery(page);
      return toConnection(await services.transfers.items(transfer, states ?? null, query), query.after);
    },
  }),
);

builder.objectField(UserType, 'transfers', (t) =>
  t.field({
    type: TransferConnection,
    description:
      'The transfers of the user, the newest first; none of anybody but yourself. The parts of a folder are its `items`.',
    complexity: connectionComplexity,
    args: {
      first: t.arg.int({ description: 'At most this many, from 1 to 100. Default 50.' }),
      after: t.arg.string({ description: 'A cursor of the same listing, to begin behind it.' }),
      states: t.arg({
        type: [TransferStateEnum],
        required: { list: false, items: true },
        description: 'Only those in these states; left out: all.',
      }),
    },
    resolve: async ({ id }, { states, ...page }, context) => {
      const viewer = viewerOf(context);
      const query = pageQuery(page);
      if (id !== viewer.userId) return toConnection({ items: [], cursors: [], hasNextPage: false }, query.after);
      return toConnection(await context.services.transfers.page(viewer, states ?? null, query), query.after);
    },
  }),
);

const TransferInput = builder.inputType('TransferInput', {
  description: 'Which transfer.',
  fields: (t) => ({ id: t.id({ required: true, description: 'Its id.' }) }),
});

const TransferPayload = builder.objectRef<{ readonly transfer: TransferView }>('TransferPayload').implement({
  description: 'The transfer as it is now.',
  fields: (t) => ({ transfer: t.expose('transfer', { type: Transfer, description: 'The transfer.' }) }),
});

const CONTROLS = {
  pause:
    'Holds a transfer of yours until it is resumed. An upload takes no bytes meanwhile (423), and keeps those that it has for a week.',
  resume: 'Goes on with a paused transfer of yours; of a folder, with all of its items.',
  cancel:
    'Ends a transfer of yours for good, and frees its bytes. Nothing of it becomes visible. An item of a folder is left out, and the others go on; of a folder in it, what is not found yet. What is left out of a move stays at the source, with the folders that it is in.',
  retry:
    'Tries a failed transfer of yours once more, as long as its bytes are here: for a day. Of a folder, those of its items that failed. With one of these alone, the transfer of the folder goes on for this one.',
} as const;

for (const action of Object.keys(CONTROLS) as (keyof typeof CONTROLS)[]) {
  builder.mutationField(`${action}Transfer`, (t) =>
    t.field({
      type: TransferPayload,
      skipTypeScopes: true,
      authScopes: { scope: 'WRITE' },
      errors: { types: [...COMMON_ERRORS, NotFoundError, ConflictError] },
      description: `${CONTROLS[action]} \`ConflictError\` when its state does not allow it.`,
      args: { input: t.arg({ type: TransferInput, required: true, description: 'Which transfer.' }) },
      resolve: async (_root, { input }, context) => ({
        transfer: await context.services.transfers[action](viewerOf(context), transferId(input.id)),
      }),
    }),
  );
}

builder.subscriptionField('transferUpdated', (t) =>
  t.field({
    type: Transfer,
    description:
      'One transfer of yours: at once as it is, then each change of its state, and its progress at most ten times a second. Ends after the final state. Delivered at most once while connected: after a break the first value repairs the gap.',
    args: { id: t.arg.id({ required: true, description: 'The id of the transfer.' }) },
    subscribe: (_root, { id }, context) =>
      context.services.transfers.watch(viewerOf(context), transferId(id), context.signal),
    resolve: (transfer) => transfer,
  }),
);

const TransferEvent = builder
  .objectRef<{ readonly cursor: string; readonly transfer: TransferView }>('TransferEvent')
  .implement({
    description: 'A change of a transfer.',
    fields: (t) => ({
      cursor: t.exposeString('cursor', {
        description:
          'Give it as `after` to go on behind this event. Of progress, which is not kept, the cursor of the last change that is.',
      }),
      transfer: t.expose('transfer', { type: Transfer, description: 'The transfer as it was after the change.' }),
    }),
  });

builder.subscriptionField('transferEvents', (t) =>
  t.field({
    type: TransferEvent,
    description:
      'All transfers of yours: every change of state, and progress at most ten times a second for each. Without `after`, the unfinished ones come first, as they are; with it, every change since that event, then what happens. Changes are kept for seven days: behind an older or unknown cursor it begins as without one.',
    args: { after: t.arg.string({ description: 'The cursor of the last event that you have seen.' }) },
    subscribe: (_root, { after }, context) =>
      context.services.transfers.events(viewerOf(context), after ?? null, context.signal),
    resolve: (event) => event,
  }),
);

const countsOf = ({ itemsTotal, itemsSucceeded, itemsFailed, itemsCancelled }: TransferView) =>
  itemsTotal == null
    ? null
    : {
        total: itemsTotal,
        succeeded: itemsSucceeded ?? 0,
        failed: itemsFailed ?? 0,
        cancelled: itemsCancelled ?? 0,
      };

/** Rounded up: what is nearly done still takes a second. */
function secondsLeft(moving: Pick<TransferView, 'bytesTotal' | 'bytesDone' | 'bytesPerSecond'>): number | null {
  const { bytesTotal, bytesDone, bytesPerSecond } = moving;
  if (bytesTotal == null || bytesPerSecond === null || bytesPerSecond <= 0) return null;
  const seconds = Math.ceil((bytesTotal - bytesDone) / bytesPerSecond);
  return seconds >= 0 && seconds <= SECONDS_MAX ? seconds : null;
}

/** More would be no answer, but an accident of a slow moment: a year. */
const SECONDS_MAX = 365 * 86_400;

/** The row's id in a global one; of any other id one that nobody has. */
const transferId = (id: string | number): string => decodeIdOf(String(id), 'Transfer') ?? '';
