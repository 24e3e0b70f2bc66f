import { GraphQLError } from 'graphql';
import { builder, type UploadedFile } from './builder.ts';

/** RFC 3339 with a zone; `Date.parse` alone also takes a lot that is not. */
const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

function badInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}

builder.scalarType('ByteCount', {
  description:
    'A number of bytes: a JSON integer from 0 to 9,007,199,254,740,991 (2^53-1), beyond what `Int` can hold.',
  serialize: (value) => {
    const bytes = Number(value);
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`not a byte count: ${String(value)}`);
    return bytes;
  },
  parseValue: (value) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw badInput('A ByteCount is an integer from 0 to 9007199254740991.');
    }
    return value;
  },
});

builder.scalarType('DateTime', {
  description: 'A moment as RFC 3339 text, in UTC in answers: `2026-11-20T08:30:00.000Z`.',
  serialize: (value) => (value instanceof Date ? value : new Date(value)).toISOString(),
  parseValue: (value) => {
    const date = typeof value === 'string' && RFC_3339.test(value) ? new Date(value) : null;
    if (!date || Number.isNaN(date.getTime()))
      throw badInput('A DateTime is RFC 3339 text such as 2026-11-20T08:30:00Z.');
    return date;
  },
});

builder.scalarType('Upload', {
  description:
    'A file that comes with the operation, in a `multipart/form-data` request as the GraphQL multipart request specification has it. Input only.',
  serialize: () => {
    throw new TypeError('an Upload is never given');
  },
  parseValue: (value) => {
    if (!isUploadedFile(value)) throw badInput('An Upload is a file of a multipart/form-data request.');
    return value;
  },
});

const isUploadedFile = (value: unknown): value is UploadedFile =>
  typeof value === 'object' && value !== null && 'stream' in value && typeof value.stream === 'function';
