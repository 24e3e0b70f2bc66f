import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { captureLog } from '../../test/support/log.ts';
import { Hub, type Transport } from './hub.ts';

const WARN = 40;

/** A transport whose next answers the test gives. */
function fakeTransport(send: (message: string) => Promise<void>): Transport {
  return { messageBytesMax: null, open: async () => {}, send, close: async () => {} };
}

const event = { deviceLinkId: 'a' };

describe('a hub whose transport fails', () => {
  it('publishes all the same, and warns once for each outage', async () => {
    let down = true;
    const capture = captureLog();
    const transport = fakeTransport(async () => {
      if (down) throw Object.assign(new Error('no connection'), { command: { args: ['hunter2'] } });
    });
    const hub = await Hub.open(capture.log, transport);
    for (let outage = 1; outage <= 2; outage += 1) {
      down = true;
      for (let n = 0; n < 3; n += 1) await hub.publish('deviceLink.changed', event);
      down = false;
      await hub.publish('deviceLink.changed', event);
      assert.equal(capture.lines.filter(({ level }) => level === WARN).length, outage);
    }
    const back = capture.lines.filter(({ msg }) => msg === 'events leave this process again');
    assert.deepEqual(
      back.map(({ keptBack }) => keptBack),
      [3, 3],
    );
    assert.ok(!JSON.stringify(capture.lines).includes('hunter2'));
    await hub.close();
  });

  it('publishes all the same what cannot be written as JSON', async () => {
    const capture = captureLog();
    const hub = await Hub.open(
      capture.log,
      fakeTransport(async () => {}),
    );
    const seen: unknown[] = [];
    hub.on('account.changed', (received) => seen.push(received));
    const circular: { accountId: string; self?: unknown } = { accountId: 'a' };
    circular.self = circular;
    await hub.publish('account.changed', circular);
    assert.deepEqual(seen, [circular]);
    assert.equal(capture.lines.filter(({ level }) => level === WARN).length, 1);
    await hub.close();
  });

  it('keeps a bounded number of events on their way, and waits for those when it closes', async () => {
    const capture = captureLog();
    const answer = Promise.withResolvers<void>();
    let sent = 0;
    const transport = fakeTransport(() => {
      sent += 1;
      return answer.promise;
    });
    const hub = await Hub.open(capture.log, transport);
    for (let n = 0; n < 10_000; n += 1) void hub.publish('deviceLink.changed', event);
    await hub.publish('deviceLink.changed', event);
    assert.equal(sent, 10_000);
    assert.match(String(capture.lines.at(-1)?.reason), /on their way already/);

    let closed = false;
    const closing = hub.close().then(() => {
      closed = true;
    });
    await Promise.resolve();
    assert.equal(closed, false);
    answer.resolve();
    await closing;
  });
});
