/** Types for the operations of the example client, as an app would generate its own. */
export default {
  schema: '../schema.graphql',
  documents: '../test/client-example/*.ts',
  silent: true,
  generates: {
    '../test/client-example/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: 'string',
        enumsAsTypes: true,
        useTypeImports: true,
        strictScalars: true,
        scalars: { ByteCount: 'number', DateTime: 'string', Upload: 'Blob' },
      },
    },
  },
  importExtension: '.ts',
};
