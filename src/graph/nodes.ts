import { brandWithType } from '@pothos/core';
import { type GraphQLObjectType, type GraphQLSchema, isObjectType } from 'graphql';
import type { GraphContext } from './context.ts';
import { encodeGlobalId, type GlobalId } from './ids.ts';

/** How a type says what the id of its objects is and how they are loaded, in the options of `builder.node`. */
interface NodeOptions {
  readonly id: { readonly resolve: (node: unknown) => unknown };
  readonly loadMany?: (ids: readonly string[], context: GraphContext) => Promise<readonly unknown[]>;
  readonly loadOne?: (id: string, context: GraphContext) => Promise<unknown>;
}

/**
 * The objects with these ids, in the order asked: null for each that there is not, an Error for each that could not be
 * loaded. A malformed id, as that of no type, is like an unknown one. The relay plugin's own way throws for those, and
 * loses the type of an object that is asked for twice at the same time.
 */
export async function loadNodes(
  schema: GraphQLSchema,
  ids: readonly GlobalId[],
  context: GraphContext,
): Promise<readonly unknown[]> {
  const found = new Map<string, unknown>();
  await Promise.all(
    [...Map.groupBy(ids, ({ typename }) => typename)].map(async ([typename, ofType]) => {
      const type = nodeType(schema, typename);
      if (!type) return;
      const keys = [...new Set(ofType.map(({ id }) => id))];
      const nodes = await load(type, keys, context);
      for (const [index, id] of keys.entries()) {
        brandWithType(nodes[index], typename as never);
        found.set(keyOf({ typename, id }), nodes[index]);
      }
    }),
  );
  return ids.map((id) => found.get(keyOf(id)) ?? null);
}

/**
 * Lets each node tell its global id at once. The relay plugin makes it by several promises, and those of a page of entries
 * take longer than the rest of its fields.
 */
export function tellIdsAtOnce(schema: GraphQLSchema): void {
  for (const type of nodeTypes(schema)) {
    const { id } = type.extensions.pothosOptions as NodeOptions;
    const field = type.getFields().id;
    if (field) field.resolve = (node) => encodeGlobalId(type.name, String(id.resolve(node)));
  }
}

/** The types that are Nodes. */
export const nodeTypes = (schema: GraphQLSchema): readonly GraphQLObjectType[] =>
  Object.keys(schema.getTypeMap()).flatMap((name) => nodeType(schema, name) ?? []);

const keyOf = ({ typename, id }: GlobalId): string => `${typename}:${id}`;

function nodeType(schema: GraphQLSchema, typename: string): GraphQLObjectType | null {
  const type = schema.getType(typename);
  return isObjectType(type) && type.getInterfaces().some(({ name }) => name === 'Node') ? type : null;
}

async function load(
  type: GraphQLObjectType,
  keys: readonly string[],
  context: GraphContext,
): Promise<readonly unknown[]> {
  const { loadMany, loadOne } = type.extensions.pothosOptions as NodeOptions;
  try {
    if (loadMany) return await loadMany(keys, context);
    return await Promise.all(keys.map((key) => loadOne?.(key, context)));
  } catch (error) {
    return keys.map(() => error);
  }
}
