import { defaultFieldResolver, type GraphQLFieldResolver, type GraphQLSchema, getNamedType, isLeafType } from 'graphql';
import type { GraphContext } from './context.ts';
import { unauthorizedError } from './errors.ts';
import { nodeTypes } from './nodes.ts';

/** What belongs to what the mutation itself did, though it is an object of its own. */
const WITHOUT_READ: ReadonlySet<string> = new Set([
  'File.hashes',
  'OfflineTask.error',
  'Transfer.entry',
  'Transfer.error',
]);

/**
 * Asks for READ wherever an answer leads on from one object to others. The root types ask for it, but mutations give
 * objects too: an API key that may only write would read the whole drive from the folder that it made.
 */
export function followOnlyToRead(schema: GraphQLSchema): void {
  for (const type of nodeTypes(schema)) {
    for (const field of Object.values(type.getFields())) {
      if (isLeafType(getNamedType(field.type)) || WITHOUT_READ.has(`${type.name}.${field.name}`)) continue;
      field.resolve = reading((field.resolve ?? defaultFieldResolver) as Resolve);
    }
  }
}

type Resolve = GraphQLFieldResolver<unknown, GraphContext>;

const reading =
  (resolve: Resolve): Resolve =>
  (parent, args, context, info) => {
    if (!context.viewer?.scopes.has('READ')) throw unauthorizedError(parent, context);
    return resolve(parent, args, context, info);
  };
