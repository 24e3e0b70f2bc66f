import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  buildClientSchema,
  type GraphQLNamedType,
  type GraphQLOutputType,
  type GraphQLType,
  getNamedType,
  introspectionFromSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isNonNullType,
  isObjectType,
  isSpecifiedScalarType,
  isUnionType,
  printSchema,
  validateSchema,
} from 'graphql';
import { schema } from '../src/graph/schema.ts';

const own: readonly GraphQLNamedType[] = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
);
const userError = schema.getType('UserError');

describe('schema.graphql', () => {
  it('is what the code says: run `npm run schema`', () => {
    const committed = readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8');
    assert.equal(committed, `${printSchema(schema)}\n`);
  });

  it('is a valid schema, and the same after introspection', () => {
    assert.deepEqual(validateSchema(schema), []);
    const introspected = buildClientSchema(
      introspectionFromSchema(schema, { inputValueDeprecation: true, oneOf: true }),
    );
    assert.equal(printSchema(introspected), printSchema(schema));
  });
});

describe('every element of the schema', () => {
  const missing: string[] = [];
  const look = (coordinate: string, { description }: { readonly description?: string | null | undefined }): void => {
    if (!description?.trim()) missing.push(coordinate);
  };
  for (const type of own) {
    look(type.name, type);
    if (isEnumType(type)) for (const value of type.getValues()) look(`${type.name}.${value.name}`, value);
    if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields())) look(`${type.name}.${field.name}`, field);
    }
    if (isObjectType(type) || isInterfaceType(type)) {
      for (const field of Object.values(type.getFields())) {
        look(`${type.name}.${field.name}`, field);
        for (const arg of field.args) look(`${type.name}.${field.name}(${arg.name}:)`, arg);
      }
    }
  }

  it('is described', () => {
    assert.deepEqual(missing, []);
  });

  it('is deprecated only with a reason that names what comes instead', () => {
    const deprecated = own
      .filter((type) => isObjectType(type) || isInterfaceType(type))
      .flatMap((type) =>
        Object.values(type.getFields()).map(({ name, deprecationReason }) => ({ type, name, deprecationReason })),
      )
      .filter(({ deprecationReason }) => deprecationReason != null && !/`\w+/.test(deprecationReason));
    assert.deepEqual(deprecated, []);
  });
});

describe('lists', () => {
  /** Parallel to another list, where null says something of one item: by Relay's convention an id of nothing, or no condition. */
  const EXCEPTIONS = new Set(['Query.nodes', 'DeleteEntriesInput.ifRevisions', 'MoveEntriesInput.ifRevisions']);

  const hasNullableItems = (type: GraphQLType): boolean => {
    if (isNonNullType(type)) return hasNullableItems(type.ofType);
    return isListType(type) && (!isNonNullType(type.ofType) || hasNullableItems(type.ofType.ofType));
  };

  it('have no null among their items', () => {
    const found: string[] = [];
    for (const type of own) {
      if (!(isObjectType(type) || isInterfaceType(type) || isInputObjectType(type))) continue;
      for (const field of Object.values(type.getFields())) {
        if (hasNullableItems(field.type)) found.push(`${type.name}.${field.name}`);
        const args = 'args' in field ? field.args : [];
        for (const arg of args) if (hasNullableItems(arg.type)) found.push(`${type.name}.${field.name}(${arg.name}:)`);
      }
    }
    assert.deepEqual(
      found.filter((coordinate) => !EXCEPTIONS.has(coordinate)),
      [],
    );
  });

  it('that can grow are connections, paged by first and after', () => {
    const connections = own.filter(({ name }) => name.endsWith('Connection')).filter(isObjectType);
    assert.notEqual(connections.length, 0);
    for (const connection of connections) {
      const { edges, nodes, pageInfo } = connection.getFields();
      assert.match(String(edges?.type), /^\[\w+Edge!\]!$/, connection.name);
      assert.match(String(nodes?.type), /^\[\w+!\]!$/, connection.name);
      assert.equal(String(pageInfo?.type), 'PageInfo!', connection.name);
    }
    for (const type of own.filter(isObjectType)) {
      for (const field of Object.values(type.getFields())) {
        if (!getNamedType(field.type).name.endsWith('Connection')) continue;
        const args = Object.fromEntries(field.args.map((arg) => [arg.name, String(arg.type)]));
        assert.deepEqual([args.first, args.after], ['Int', 'String'], `${type.name}.${field.name}`);
      }
    }
  });
});

describe('mutations', () => {
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {});
  const memberNames = (type: GraphQLOutputType) => {
    const union = getNamedType(type);
    assert.ok(isUnionType(union), `${union.name} is no union`);
    return union.getTypes();
  };

  for (const { name, args, type } of mutations) {
    it(name, () => {
      const capital = name.charAt(0).toUpperCase() + name.slice(1);
      assert.equal(args.length, 1, 'has one argument');
      assert.equal(args[0]?.name, 'input');
      assert.match(String(args[0]?.type), /^\w+Input!$/);
      assert.equal(String(type), `${capital}Result!`);
      const members = memberNames(type);
      const payloads = members.filter((member) => !member.getInterfaces().some((one) => one === userError));
      assert.equal(payloads.length, 1, `has one member that is no error: ${payloads.join(', ')}`);
      assert.match(payloads[0]?.name ?? '', /Payload$/);
      assert.ok(
        members.some((member) => member.name === 'InvalidInputError'),
        'tells of invalid input',
      );
    });
  }
});

describe('names, as generated code of any language takes them', () => {
  /** Words of Kotlin, Swift, Dart, Java, TypeScript, C#, Python and Go, in capitals as enum values are. */
  const KEYWORDS = new Set(
    `abstract any as assert async await base bool boolean break byte case catch char class const continue covariant
    default defer deferred delete do double dynamic else enum event export extends extension external factory false
    final finally float for foreach fun func function get go goto guard if implements import in infix init inline
    inout instanceof int interface internal is late let library long map mixin module namespace native new nil none
    null object of on open operator out override package params part partial private protected protocol public
    raise range readonly ref register required rethrow return sealed select self set short show sizeof static
    string struct subscript super switch sync synchronized this throw throws transient true try type typealias
    typedef typeof undefined union unknown unsigned unsafe using val var virtual void volatile when where while
    with yield`
      .toUpperCase()
      .split(/\s+/),
  );
  /** Binding names of the core schema, which generators escape. */
  const EXCEPTIONS = new Set(['LinkMethod.NONE', 'Ability.DELETE', 'TransferKind.IMPORT']);

  it('no enum value is a keyword', () => {
    const found = own
      .filter(isEnumType)
      .flatMap((type) => type.getValues().map(({ name }) => `${type.name}.${name}`))
      .filter((coordinate) => KEYWORDS.has(coordinate.split('.')[1] ?? '') && !EXCEPTIONS.has(coordinate));
    assert.deepEqual(found, []);
  });

  it('enum values are in capitals, types in Pascal case, fields in camel case', () => {
    for (const type of own) {
      assert.match(type.name, /^[A-Z][A-Za-z0-9]*$/);
      if (isEnumType(type)) for (const { name } of type.getValues()) assert.match(name, /^[A-Z][A-Z0-9_]*$/, type.name);
      if (isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)) {
        for (const name of Object.keys(type.getFields())) assert.match(name, /^[a-z][A-Za-z0-9]*$/, type.name);
      }
    }
  });

  it('no two types differ by case only: file systems take them for one', () => {
    const names = own.map(({ name }) => name.toLowerCase());
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    );
  });
});

describe('subscriptions', () => {
  it('give the types that queries give, not types of their own events', () => {
    const withCursor = new Set(['TransferEvent']);
    for (const { name, type } of Object.values(schema.getSubscriptionType()?.getFields() ?? {})) {
      const named = getNamedType(type);
      assert.ok(isObjectType(named), name);
      if (withCursor.has(named.name)) assert.ok('cursor' in named.getFields(), name);
    }
  });
});
