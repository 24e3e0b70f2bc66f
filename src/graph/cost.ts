import { PothosError } from '@pothos/core';
import { type ComplexityResult, complexityFromQuery } from '@pothos/plugin-complexity';
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  Kind,
  type OperationDefinitionNode,
} from 'graphql';
import { complexityError } from './errors.ts';
import { QUERY_LIMITS } from './limits.ts';

/** What is to be run. */
export interface Operation {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variableValues?: object | null | undefined;
  readonly contextValue?: unknown;
}

/**
 * Why an operation is too large to run, with its variables; null when it is not, or when its variables are wrong, which
 * execution reports. Checked before anything runs, also before a subscription opens.
 */
export function costFault(operation: Operation): GraphQLError | null {
  const cost = costOf(operation);
  if (cost === null) return null;
  if (cost.depth > QUERY_LIMITS.depth) return complexityError('Depth', cost.depth, QUERY_LIMITS.depth);
  if (cost.breadth > QUERY_LIMITS.breadth) return complexityError('Breadth', cost.breadth, QUERY_LIMITS.breadth);
  if (cost.complexity > QUERY_LIMITS.complexity) {
    return complexityError('Complexity', cost.complexity, QUERY_LIMITS.complexity);
  }
  return null;
}

/** Of operations without variables, which is most of those that are asked often. Documents are kept by Yoga's cache. */
const known = new WeakMap<OperationDefinitionNode, ComplexityResult>();

function costOf({ schema, document, operationName, variableValues, contextValue }: Operation): ComplexityResult | null {
  const chosen = getOperationAST(document, operationName);
  if (!chosen) return null;
  const before = known.get(chosen);
  if (before) return before;
  // The plugin reckons the first operation that it finds: a small one in front would hide the one that runs.
  const definitions = document.definitions.filter(
    (definition) => definition === chosen || definition.kind === Kind.FRAGMENT_DEFINITION,
  );
  try {
    const cost = complexityFromQuery(
      { ...document, definitions },
      {
        schema,
        ctx: (contextValue ?? {}) as object,
        variables: (variableValues ?? {}) as Record<string, unknown>,
      },
    );
    if (!chosen.variableDefinitions?.length) known.set(chosen, cost);
    return cost;
  } catch (error) {
    if (error instanceof PothosError || !(error instanceof GraphQLError)) throw error;
    return null; // Variables that do not fit their types.
  }
}
