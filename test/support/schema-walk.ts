import {
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql';

/** A leaf of a field's arguments. Lists are not places: `['input', 'entries', 'id']` is that of each item. */
export interface Leaf {
  readonly path: readonly string[];
  /** Its own name, the last of the path. */
  readonly name: string;
  /** The name of its type. */
  readonly type: string;
}

/** A field that can be asked for: of a root type, or of a Node type (then behind `node(id)`). */
export interface Field {
  readonly parent: string;
  readonly name: string;
  readonly args: GraphQLField<unknown, unknown>['args'];
  readonly type: GraphQLOutputType;
}

export interface Request {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

export const nodeTypes = (schema: GraphQLSchema): readonly GraphQLObjectType[] =>
  objectTypes(schema).filter((type) => type.getInterfaces().some(({ name }) => name === 'Node'));

/** The types whose objects have an id of their own, Nodes or not. */
export const identifiedTypes = (schema: GraphQLSchema): readonly GraphQLObjectType[] =>
  objectTypes(schema).filter((type) => String(type.getFields().id?.type) === 'ID!' && !type.name.endsWith('Payload'));

export const fieldsOf = (schema: GraphQLSchema): readonly Field[] =>
  objectTypes(schema).flatMap((parent) =>
    Object.values(parent.getFields()).map(({ name, args, type }) => ({ parent: parent.name, name, args, type })),
  );

const objectTypes = (schema: GraphQLSchema): readonly GraphQLObjectType[] =>
  Object.values(schema.getTypeMap()).filter(
    (type) => isObjectType(type) && !type.name.startsWith('__'),
  ) as GraphQLObjectType[];

/** All leaves of a field's arguments. */
export const leavesOf = ({ args }: Pick<Field, 'args'>): readonly Leaf[] =>
  args.flatMap(({ name, type }) => leavesBelow(type, [name]));

function leavesBelow(type: GraphQLInputType, path: readonly string[]): readonly Leaf[] {
  const named = getNamedType(type);
  if (!isInputObjectType(named)) return [{ path, name: path.at(-1) ?? '', type: named.name }];
  return Object.values(named.getFields()).flatMap((field) => leavesBelow(field.type, [...path, field.name]));
}

/**
 * Arguments with `value` at a leaf; whatever else is required is what `sample` says of its leaf. Gives the variables by
 * the names of the arguments.
 */
export function argumentsWith(
  { args }: Pick<Field, 'args'>,
  target: Leaf,
  value: unknown,
  sample: (leaf: Leaf) => unknown,
): Readonly<Record<string, unknown>> {
  const isOnWay = (path: readonly string[]): boolean => path.every((name, index) => target.path[index] === name);
  const build = (type: GraphQLInputType, path: readonly string[]): unknown => {
    if (isNonNullType(type)) return build(type.ofType, path);
    if (isListType(type)) return [build(type.ofType, path)];
    if (!isInputObjectType(type)) {
      const leaf = { path, name: path.at(-1) ?? '', type: type.name };
      return isOnWay(path) ? value : sample(leaf);
    }
    const fields = Object.values(type.getFields()).map((field) => ({ ...field, path: [...path, field.name] }));
    const wanted = type.isOneOf
      ? [fields.find((field) => isOnWay(field.path)) ?? fields[0]]
      : fields.filter((field) => isOnWay(field.path) || isNonNullType(field.type));
    return Object.fromEntries(wanted.flatMap((field) => (field ? [[field.name, build(field.type, field.path)]] : [])));
  };
  return Object.fromEntries(
    args
      .filter(({ name, type }) => isOnWay([name]) || isNonNullType(type))
      .map(({ name, type }) => [name, build(type, [name])]),
  );
}

/** The operation that asks for a field with these arguments. `nodeId` is of an object that has the field. */
export function requestFor(field: Field, variables: Readonly<Record<string, unknown>>, nodeId?: string): Request {
  const given = field.args.filter(({ name }) => name in variables);
  const declared = given.map(({ name, type }) => `$${name}: ${type}`);
  const passed = given.map(({ name }) => `${name}: $${name}`).join(', ');
  const asked = `${field.name}${passed ? `(${passed})` : ''} ${selectionOf(field.type, 3)}`;
  const isRoot = ROOTS.has(field.parent);
  const body = isRoot ? asked : `node(id: $nodeId) { ... on ${field.parent} { ${asked} } }`;
  const head = [...(isRoot ? [] : ['$nodeId: ID!']), ...declared].join(', ');
  const operation = isRoot ? field.parent.toLowerCase() : 'query';
  return {
    query: `${operation}${head ? ` (${head})` : ''} { ${body} }`,
    variables: isRoot ? variables : { ...variables, nodeId },
  };
}

export const ROOTS: ReadonlySet<string> = new Set(['Query', 'Mutation', 'Subscription']);

/**
 * What an answer shows by itself: fields without required arguments, so many levels deep; no connections within. Errors
 * as data are always shown.
 */
export function selectionOf(type: GraphQLOutputType, depth: number): string {
  const named = getNamedType(type);
  if (isLeafType(named)) return '';
  if (isUnionType(named)) {
    const payloads = named
      .getTypes()
      .filter((member) => !member.getInterfaces().some(({ name }) => name === 'UserError'));
    const fragments = payloads.map((member) => `... on ${member.name} ${selectionOf(member, depth)}`);
    return `{ __typename ... on UserError { code message retryable } ${fragments.join(' ')} }`;
  }
  if (!isObjectType(named) && !isInterfaceType(named)) return '{ __typename }';
  const fields = Object.values(named.getFields()).filter(
    (field) =>
      field.args.every((argument) => !isNonNullType(argument.type)) &&
      (isLeafType(getNamedType(field.type)) ||
        getNamedType(field.type).name === 'UserError' ||
        (depth > 1 && !/Connection$/.test(getNamedType(field.type).name))),
  );
  return `{ __typename ${fields.map((field) => `${field.name} ${selectionOf(field.type, depth - 1)}`).join(' ')} }`;
}
