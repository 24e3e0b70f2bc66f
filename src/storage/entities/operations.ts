import { defineEntity, p } from '@mikro-orm/core';

/** The stored answer of a mutation that carried an idempotency key. */
const IdempotencyRecordSchema = defineEntity({
  name: 'IdempotencyRecord',
  tableName: 'idempotency_records',
  properties: {
    userId: p.string().length(36).primary(),
    key: p.string().length(255).primary(),
    operation: p.string().length(64),
    inputHash: p.string().length(64),
    /** Null while the first caller is still at work. */
    answer: p.json().$type<unknown>().nullable(),
    /** Until when the first caller may be believed alive. */
    pendingUntil: p.datetime().nullable(),
    createdAt: p.datetime().index(),
  },
});
export class IdempotencyRecord extends IdempotencyRecordSchema.class {}
IdempotencyRecordSchema.setClass(IdempotencyRecord);

/** Who did what, when; never a secret or a file's content. */
const AuditRecordSchema = defineEntity({
  name: 'AuditRecord',
  tableName: 'audit_records',
  properties: {
    sequence: p.bigint('number').primary().autoincrement().ignoreSchemaChanges('type'),
    at: p.datetime().index(),
    userId: p.string().length(36).nullable().index(),
    action: p.string().length(64),
    accountId: p.string().length(36).nullable(),
    detail: p.json().$type<Record<string, unknown>>(),
  },
});
export class AuditRecord extends AuditRecordSchema.class {}
AuditRecordSchema.setClass(AuditRecord);

/** What processes share for a short time: see `SharedState`. Used on PostgreSQL only, where there is no Redis. */
const SharedStateSchema = defineEntity({
  name: 'SharedStateRow',
  tableName: 'shared_states',
  properties: {
    key: p.string().length(255).primary(),
    value: p.text(),
    expiresAt: p.datetime(), // No index: the table is small, and its rows change with each request.
  },
});
export class SharedStateRow extends SharedStateSchema.class {}
SharedStateSchema.setClass(SharedStateRow);
