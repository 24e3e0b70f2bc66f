import { createServer } from 'node:http';
import { createSchema, createYoga } from 'graphql-yoga';

/** Bare Yoga: a field that says hello, and a hundred rows out of memory. With the options that cost nothing switched as ours. */
const rows = Array.from({ length: 100 }, (_, index) => ({
  id: Buffer.from(`File:${index}`).toString('base64url'),
  name: `file-${index}.txt`,
  size: index * 1000,
  modifiedAt: new Date(1_700_000_000_000 + index * 1000).toISOString(),
}));

const yoga = createYoga({
  schema: createSchema({
    typeDefs: `
      type Query { hello: String! rows: [Row!]! }
      type Row { id: ID! name: String! size: Float! modifiedAt: String! }
    `,
    resolvers: { Query: { hello: () => 'world', rows: () => rows } },
  }),
  cors: false,
  graphiql: false,
  landingPage: false,
  logging: false,
  maxRequestBodySize: false,
  healthCheckEndpoint: '/ready',
});

createServer(yoga).listen(Number(process.env.PORT), '127.0.0.1');
