import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  type FieldDefinitionNode,
  type InputValueDefinitionNode,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isUnionType,
  Kind,
  parse,
  print,
  type TypeDefinitionNode,
} from 'graphql';
import { schema } from '../src/graph/schema.ts';

/** What clients are written against, element by element, and has not been built yet. What is built leaves this list. */
const NOT_BUILT_YET: readonly string[] = [];

const core = parse(readFileSync(new URL('support/core.graphql', import.meta.url), 'utf8'));

/** Each element of the core that is missing here or other than it says, by its coordinate. */
const faults = new Map<string, string>();
for (const definition of core.definitions) compareType(definition as TypeDefinitionNode);

function compareType(expected: TypeDefinitionNode): void {
  const name = expected.name.value;
  const type = schema.getType(name);
  if (!type) {
    faults.set(name, 'is missing');
    return;
  }
  if (expected.kind === Kind.ENUM_TYPE_DEFINITION) {
    const values = isEnumType(type) ? type.getValues().map((value) => value.name) : [];
    for (const { name: value } of expected.values ?? []) {
      if (!values.includes(value.value)) faults.set(`${name}.${value.value}`, 'is missing');
    }
    return;
  }
  if (expected.kind === Kind.INPUT_OBJECT_TYPE_DEFINITION) {
    if (!isInputObjectType(type)) {
      faults.set(name, 'is no input');
      return;
    }
    const oneOf = expected.directives?.some((directive) => directive.name.value === 'oneOf') ?? false;
    if (type.isOneOf !== oneOf) faults.set(name, oneOf ? 'is not @oneOf' : 'is @oneOf');
    compareInputs(name, expected.fields ?? [], Object.values(type.getFields()), (field) => `${name}.${field}`);
    return;
  }
  if (expected.kind !== Kind.OBJECT_TYPE_DEFINITION && expected.kind !== Kind.INTERFACE_TYPE_DEFINITION) return;
  if (!isObjectType(type) && !isInterfaceType(type)) {
    faults.set(name, 'is neither an object nor an interface');
    return;
  }
  const interfaces = type.getInterfaces().map((one) => one.name);
  for (const { name: wanted } of expected.interfaces ?? []) {
    if (!interfaces.includes(wanted.value)) faults.set(name, `does not implement ${wanted.value}`);
  }
  for (const field of expected.fields ?? []) compareField(name, field, type.getFields()[field.name.value]);
}

type Field = ReturnType<import('graphql').GraphQLObjectType['getFields']>[string];

function compareField(typeName: string, expected: FieldDefinitionNode, field: Field | undefined): void {
  const coordinate = `${typeName}.${expected.name.value}`;
  if (!field) {
    faults.set(coordinate, 'is missing');
    return;
  }
  const type = print(expected.type);
  if (String(field.type) !== type) faults.set(coordinate, `is ${field.type}, not ${type}`);
  compareInputs(coordinate, expected.arguments ?? [], field.args, (arg) => `${coordinate}(${arg}:)`);
}

type Input = { readonly name: string; readonly type: unknown; readonly defaultValue?: unknown };

/** What the core takes is taken; what is more here is optional. A stricter type would break who leaves it out. */
function compareInputs(
  owner: string,
  expected: readonly InputValueDefinitionNode[],
  inputs: readonly Input[],
  coordinateOf: (name: string) => string,
): void {
  for (const { name, type: wanted } of expected) {
    const input = inputs.find((one) => one.name === name.value);
    const type = print(wanted);
    if (!input) faults.set(coordinateOf(name.value), 'is missing');
    else if (String(input.type) !== type && `${input.type}!` !== type) {
      faults.set(coordinateOf(name.value), `is ${input.type}, not ${type}`);
    }
  }
  for (const { name, type } of inputs) {
    const known = expected.some((one) => one.name.value === name);
    if (!known && String(type).endsWith('!')) faults.set(owner, `needs ${name}, which the core does not know`);
  }
}

describe('the schema holds the core that clients are written against', () => {
  it('each element is there as the core says, but for what is not built yet', (t) => {
    for (const coordinate of NOT_BUILT_YET) t.diagnostic(`not built yet: ${coordinate}`);
    const unexpected = [...faults].filter(([coordinate]) => !NOT_BUILT_YET.includes(coordinate));
    assert.deepEqual(
      unexpected.map(([coordinate, fault]) => `${coordinate} ${fault}`),
      [],
    );
  });

  it('what is built is no longer listed as missing', () => {
    assert.deepEqual(
      NOT_BUILT_YET.filter((coordinate) => !faults.has(coordinate)),
      [],
    );
  });

  it('each result holds its payload', () => {
    for (const { name } of Object.values(schema.getMutationType()?.getFields() ?? {})) {
      const union = schema.getType(`${name.charAt(0).toUpperCase()}${name.slice(1)}Result`);
      assert.ok(isUnionType(union), name);
    }
  });
});
