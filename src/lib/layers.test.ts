import assert from 'node:assert/strict';
import { it } from 'node:test';
import { compose, type Layer } from './layers.ts';

it('runs layers from the outermost to the innermost, and back', async () => {
  const trace: string[] = [];
  const layer =
    (name: string): Layer<string> =>
    async (call, next) => {
      trace.push(`${name} in`);
      const result = await next(`${call}.${name}`);
      trace.push(`${name} out`);
      return result;
    };
  const run = compose([layer('a'), layer('b')], async (call) => {
    trace.push(call);
    return 'done';
  });
  assert.equal(await run('call'), 'done');
  assert.deepEqual(trace, ['a in', 'b in', 'call.a.b', 'b out', 'a out']);
});

it('lets a layer answer for those below, or fail for them', async () => {
  const unreachable = () => assert.fail('below the layer that answered');
  assert.equal(await compose([async () => 'own answer'], unreachable)('call'), 'own answer');
  const refusing: Layer<string> = async () => {
    throw new Error('refused');
  };
  await assert.rejects(compose([refusing], unreachable)('call'), /refused/);
});

it('is the innermost itself where there are no layers', async () => {
  assert.equal(await compose<number, number>([], async (call) => call + 1)(1), 2);
});
