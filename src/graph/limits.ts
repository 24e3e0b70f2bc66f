/** Largest page of a connection. A client that wants more asks for the next page. */
export const PAGE_MAX = 100;
/** Page size where the caller gives none. */
export const PAGE_DEFAULT = 50;
/** Ids in one `nodes`, and items in one list mutation. */
export const LIST_INPUT_MAX = 100;
/** What a plain list counts for when a query's cost is reckoned. */
export const DEFAULT_LIST_MULTIPLIER = 5;

/**
 * Refused before anything runs. Depth and breadth count fields (an alias is a field); complexity adds up fields times the
 * page size of the connections around them. The graphiql introspection query needs depth 13 and is exempt by its own rule.
 */
export const QUERY_LIMITS = { depth: 15, breadth: 300, complexity: 20_000 } as const;

/** Tokens in a document, checked while parsing: a longer one costs nothing. */
export const DOCUMENT_TOKENS_MAX = 4_000;
/** Same fields under different names in one document: stops guessing passwords by alias. */
export const ROOT_FIELDS_MAX = 20;
/** Bytes of a request body that carries an operation; files pass by the upload routes. */
export const BODY_BYTES_MAX = 1024 * 1024;
