import graphql from '@graphql-eslint/eslint-plugin';

const { rules: all } = graphql.configs['flat/schema-all'];
const { rules: relay } = graphql.configs['flat/schema-relay'];

/** Rules that nobody of this project wrote, on the schema that it prints. What is off has its reason. */
export default [
  {
    files: ['schema.graphql'],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: './schema.graphql' } } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    plugins: { '@graphql-eslint': graphql },
    rules: {
      ...all,
      ...relay,
      '@graphql-eslint/alphabetize': 'off', // Sorted by graphql-js when it is printed, in its own order.
      '@graphql-eslint/no-root-type': 'off', // Forbids root types one by one; all three are wanted.
      '@graphql-eslint/strict-id-in-types': 'off', // Values, payloads, edges and errors are no objects with an identity.
      '@graphql-eslint/require-nullable-result-in-root': 'off', // A mutation always answers: its errors are in its union.
      '@graphql-eslint/no-typename-prefix': 'off', // `User.username` and `TransferEvent.transfer` are what they are called.
      '@graphql-eslint/relay-arguments': ['error', { includeBoth: false }], // Drives page forwards only.
      '@graphql-eslint/relay-edge-types': [
        'error',
        // Changes and audit records are no nodes; `nodes` stands beside `edges`, and short lists are lists.
        { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false },
      ],
    },
  },
];
