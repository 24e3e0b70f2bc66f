import { abilityOfAct } from '../abilities.ts';
import { DriveError } from '../errors.ts';
import type { DriveLayer } from './call.ts';

/** Refuses what the driver does not have, before any request is made. */
export const abilityLayer: DriveLayer = async (call, next) => {
  if (call.supported) return next(call);
  const { provider, operation } = call;
  const ability = abilityOfAct(operation);
  throw new DriveError('unsupported', `This drive (${provider}) cannot do that: ${ability ?? operation}.`, {
    provider,
    operation,
    ability,
  });
};
