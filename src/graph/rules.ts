import {
  type ASTNode,
  type ASTVisitor,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import type { ErrorCode } from './errors.ts';
import { ALIASES_MAX, DIRECTIVES_MAX, ROOT_FIELDS_MAX } from './limits.ts';

/** Aliases let one document ask the same field many times over: one guess of a password for each. */
function aliasLimitRule(context: ValidationContext): ASTVisitor {
  let aliases = 0;
  return {
    Field: (node) => {
      if (!node.alias) return;
      aliases += 1;
      // Once: a document of thousands would get as many errors.
      if (aliases === ALIASES_MAX + 1) context.reportError(tooLarge(`more than ${ALIASES_MAX} aliases`, node));
    },
  };
}

function rootFieldLimitRule(context: ValidationContext): ASTVisitor {
  return {
    OperationDefinition: (node) => {
      if (countFields(context, node.selectionSet, new Set()) <= ROOT_FIELDS_MAX) return;
      context.reportError(tooLarge(`more than ${ROOT_FIELDS_MAX} fields at its root`, node));
    },
  };
}

/** Each directive costs a look-up and an error of its own, however wrong it is. */
function directiveLimitRule(context: ValidationContext): ASTVisitor {
  const visit = (node: ASTNode & { readonly directives?: readonly unknown[] | undefined }): void => {
    if ((node.directives?.length ?? 0) <= DIRECTIVES_MAX) return;
    context.reportError(tooLarge(`more than ${DIRECTIVES_MAX} directives at one place`, node));
  };
  return {
    Field: visit,
    FragmentSpread: visit,
    InlineFragment: visit,
    OperationDefinition: visit,
    FragmentDefinition: visit,
    VariableDefinition: visit,
  };
}

/** What no document may exceed, beside the cost that depends on its variables (cost.ts). */
export const DOCUMENT_RULES: readonly ValidationRule[] = [aliasLimitRule, rootFieldLimitRule, directiveLimitRule];

/** Fields of a selection, those of its fragments included; each fragment once, as its fields merge. */
function countFields(
  context: ValidationContext,
  { selections }: SelectionSetNode,
  seen: Set<FragmentDefinitionNode>,
): number {
  let fields = 0;
  for (const selection of selections) {
    if (selection.kind === Kind.FIELD) fields += 1;
    else if (selection.kind === Kind.INLINE_FRAGMENT) fields += countFields(context, selection.selectionSet, seen);
    else {
      const fragment = context.getFragment(selection.name.value);
      if (!fragment || seen.has(fragment)) continue;
      seen.add(fragment);
      fields += countFields(context, fragment.selectionSet, seen);
    }
  }
  return fields;
}

const tooLarge = (what: string, node: ASTNode): GraphQLError =>
  new GraphQLError(`The document has ${what}. Ask for less in one operation.`, {
    nodes: [node],
    extensions: { code: 'OPERATION_TOO_COMPLEX' satisfies ErrorCode },
  });
