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
 * page size of the connections around them. GraphiQL's introspection needs depth 13; how deep one may go is graphql-js' own rule.
 */
export const QUERY_LIMITS = { depth: 15, breadth: 300, complexity: 20_000 } as const;

/** Characters of a document, looked at before anything else. A long text belongs into the variables. */
export const DOCUMENT_CHARACTERS_MAX = 100_000;
/** Tokens in a document, checked while parsing: a longer one costs nothing. GraphiQL's introspection has about 300. */
export const DOCUMENT_TOKENS_MAX = 4_000;
/** Fields at the root of one operation, and aliases in one document: stops guessing passwords by alias. */
export const ROOT_FIELDS_MAX = 20;
export const ALIASES_MAX = 20;
/** Directives at one place of a document. The standard ones make sense two at a time. */
export const DIRECTIVES_MAX = 4;
/** Bytes of a request body that carries an operation; large files pass by the upload routes. */
export const BODY_BYTES_MAX = 1024 * 1024;
/** The same with a bearer token: room for a text of 8 MiB, and for what JSON puts around its line ends and quotes. */
export const SIGNED_BODY_BYTES_MAX = 10 * 1024 * 1024;
/** Bytes of a small file that comes with its operation in one multipart body. */
export const UPLOAD_FILE_BYTES_MAX = 8 * 1024 * 1024;
/** How long an operation may run. Longer than a list mutation of 100 items on a provider that allows one a second. */
export const OPERATION_MS_MAX = 240_000;
