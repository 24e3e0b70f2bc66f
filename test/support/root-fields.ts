import {
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLObjectType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
} from 'graphql';
import { schema } from '../../src/graph/schema.ts';

/** A field that a client can begin with, and an operation of the schema's own making that asks for it. */
export interface RootField {
  readonly kind: 'query' | 'mutation' | 'subscription';
  readonly name: string;
  /** The right that the field states, besides READ for all queries and subscriptions. */
  readonly right: FieldRight;
  readonly document: string;
  /** Whether an argument is a file, which only a form can carry; it is the variable `file`. */
  readonly takesFile: boolean;
}

export interface FieldRight {
  readonly public?: true;
  readonly session?: true;
  readonly admin?: true;
  readonly scope?: string;
}

/** All of them, generated: a field that is new is tested without anybody thinking of it. */
export const ROOT_FIELDS: readonly RootField[] = (
  [
    ['query', schema.getQueryType()],
    ['mutation', schema.getMutationType()],
    ['subscription', schema.getSubscriptionType()],
  ] as const
).flatMap(([kind, type]) =>
  Object.values((type as GraphQLObjectType).getFields()).map((field) => rootField(kind, field)),
);

function rootField(kind: RootField['kind'], field: GraphQLField<unknown, unknown>): RootField {
  const options = field.extensions.pothosOptions as { authScopes?: FieldRight } | undefined;
  const args = field.args
    .filter(({ type }) => isNonNullType(type))
    .map(({ name, type }) => `${name}: ${literal(type)}`);
  const takesFile = args.some((arg) => arg.includes('$file'));
  const selection = isLeafType(getNamedType(field.type)) ? '' : ' { __typename ... on UserError { code message } }';
  const reachesErrors = String(field.type).endsWith('Result!');
  return {
    kind,
    name: field.name,
    right: options?.authScopes ?? {},
    takesFile,
    document: `${kind}${takesFile ? ' ($file: Upload!)' : ''} { ${field.name}${args.length ? `(${args.join(', ')})` : ''}${
      reachesErrors ? selection : selection && ' { __typename }'
    } }`,
  };
}

/** A value of the type as GraphQL text: valid, and the name of nothing that there is. */
function literal(type: GraphQLInputType): string {
  if (isNonNullType(type)) return literal(type.ofType);
  if (isListType(type)) return `[${literal(type.ofType)}]`;
  if (isEnumType(type)) return type.getValues()[0]?.name ?? '';
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields());
    const needed = type.isOneOf ? fields.slice(0, 1) : fields.filter((field) => isNonNullType(field.type));
    return `{ ${needed.map((field) => `${field.name}: ${literal(field.type)}`).join(', ')} }`;
  }
  const values: Readonly<Record<string, string>> = {
    Int: '1',
    Float: '1',
    Boolean: 'true',
    ByteCount: '1',
    Upload: '$file',
  };
  return values[type.name] ?? (type.name === 'DateTime' ? '"2030-01-01T00:00:00Z"' : '"nothing"');
}
