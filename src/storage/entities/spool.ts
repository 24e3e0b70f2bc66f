import { defineEntity, p } from '@mikro-orm/core';

/** A folder of bytes that came in, on one host or shared by some; its name is a file in it. */
const SpoolSchema = defineEntity({
  name: 'Spool',
  tableName: 'spools',
  properties: {
    id: p.string().length(36).primary(),
    /** The host that was seen with it last, for a person. */
    host: p.string().length(64),
    seenAt: p.datetime(),
  },
});
export class Spool extends SpoolSchema.class {}
SpoolSchema.setClass(Spool);
