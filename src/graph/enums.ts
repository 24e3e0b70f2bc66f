/** The values of an enum from their descriptions: a record over the closed type, so that none can be left out. */
export const enumValues = <Value extends string>(
  descriptions: Readonly<Record<Value, string>>,
): Record<Value, { description: string }> =>
  Object.fromEntries(Object.entries(descriptions).map(([value, description]) => [value, { description }])) as Record<
    Value,
    { description: string }
  >;
