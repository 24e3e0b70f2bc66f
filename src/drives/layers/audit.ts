import type { RenameResult, Renaming } from '../contract/renaming.ts';
import { LOOKS, type Operation } from '../operations.ts';
import type { DriveCall, DriveLayer, Outcome } from './call.ts';
import { outcomeOf } from './metrics.ts';

export interface DriveAuditRecord {
  readonly provider: string;
  readonly accountId: string;
  readonly operation: string;
  /** The entry, folder, share or task acted upon; null when there is no one thing. */
  readonly target: string | null;
  readonly outcome: Outcome;
}

export type AuditSink = (record: DriveAuditRecord) => void;

/** Tells who changed what, whether it worked or not. Only refs go out: options may hold a share's password. */
export const auditLayer =
  (sink: AuditSink): DriveLayer =>
  async (call, next) => {
    if (LOOKS.has(call.operation)) return next(call);
    const { provider, accountId, operation } = call;
    const record = (outcomesOf: (index: number) => Outcome): void => {
      for (const [index, { as, target }] of changesOf(call).entries()) {
        sink({ provider, accountId, operation: as, target, outcome: outcomesOf(index) });
      }
    };
    try {
      const result = await next(call);
      record((index) => outcomeOfItem(operation, result, index));
      return result;
    } catch (error) {
      record(() => outcomeOf(error));
      throw error;
    }
  };

interface Change {
  readonly as: string;
  readonly target: string | null;
}

/** What an act is to do, as it is recorded: of several entries, each by itself, as though they came one after the other. */
const changesOf = (call: DriveCall): readonly Change[] =>
  call.operation === 'renameMany'
    ? (call.args[0] as readonly Renaming[]).map(({ ref }) => ({ as: 'rename', target: ref }))
    : [{ as: call.operation, target: targetOf(call) }];

function outcomeOfItem(operation: string, result: unknown, index: number): Outcome {
  const error = operation === 'renameMany' ? (result as readonly RenameResult[])[index]?.error : null;
  return error ? outcomeOf(error) : 'ok';
}

/** Links are not kept: they may carry a password or a token. */
const LINK_FIRST: ReadonlySet<string> = new Set<Operation>(['offline.add', 'shares.save']);

function targetOf({ operation, args: [first] }: DriveCall): string | null {
  if (LINK_FIRST.has(operation)) return null;
  if (typeof first === 'string') return first;
  if (Array.isArray(first)) return first.join(' ');
  if (typeof first !== 'object' || first === null) return null;
  if ('parentRef' in first) return String(first.parentRef);
  if ('ref' in first) return String(first.ref);
  return null;
}
