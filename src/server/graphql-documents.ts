import {
  type DocumentNode,
  GraphQLError,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { type ErrorCode, type ErrorMask, requestError } from '../graph/errors.ts';
import { DOCUMENT_CHARACTERS_MAX, DOCUMENT_TOKENS_MAX } from '../graph/limits.ts';
import { DOCUMENT_RULES } from '../graph/rules.ts';

export interface DocumentLimitsOptions {
  readonly mask: ErrorMask;
  readonly introspection: boolean;
}

/** Length, tokens, aliases and directives of a document, and a code on each error of reading it. */
export function useDocumentLimits({ mask, introspection }: DocumentLimitsOptions): Plugin {
  const rules = introspection ? DOCUMENT_RULES : [...DOCUMENT_RULES, NoSchemaIntrospectionCustomRule];
  const all = [...specifiedRules, ...rules];
  /** By document, which Yoga's cache keeps; its own of these has a key of the names of all rules, made for each request. */
  const validated = new WeakMap<DocumentNode, readonly GraphQLError[]>();
  return {
    onParse({ params, setParseFn }) {
      if (params.source.toString().length > DOCUMENT_CHARACTERS_MAX) {
        throw requestError(
          `The document has more than ${DOCUMENT_CHARACTERS_MAX} characters. Put long texts into the variables.`,
          400,
          'OPERATION_TOO_COMPLEX',
        );
      }
      // Given in `params.options` it would be ignored.
      setParseFn((source, options) => parse(source, { ...options, maxTokens: DOCUMENT_TOKENS_MAX }));
      return ({ result, replaceParseResult }) => {
        if (result instanceof GraphQLError) replaceParseResult(asParseError(result));
      };
    },
    onValidate({ params: { documentAST: document, schema }, setResult }) {
      let faults = validated.get(document);
      if (!faults) {
        faults = validate(schema, document, all).map(asValidationError);
        validated.set(document, faults);
      }
      setResult(faults.map(mask));
    },
  };
}

/** `spec`: the HTTP status that GraphQL over HTTP gives it, which depends on what the client accepts. */
const specified = { status: 400, spec: true } as const;

const asParseError = (error: GraphQLError): GraphQLError =>
  recoded(error, / more than \d+ tokens/.test(error.message) ? 'OPERATION_TOO_COMPLEX' : 'GRAPHQL_PARSE_FAILED');

const asValidationError = (error: GraphQLError): GraphQLError =>
  recoded(error, (error.extensions.code as ErrorCode | undefined) ?? 'GRAPHQL_VALIDATION_FAILED');

const recoded = (error: GraphQLError, code: ErrorCode): GraphQLError =>
  new GraphQLError(error.message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    extensions: { code, http: specified },
  });
