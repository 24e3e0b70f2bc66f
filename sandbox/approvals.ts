import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { BaiduFake } from '../src/drives/baidu/fake/index.ts';

export interface Approvals {
  readonly url: string;
  close(): Promise<void>;
}

/** The page on which a person of the imitation confirms or refuses the device codes that wait. */
export async function startApprovals(
  { devices }: BaiduFake,
  person: Parameters<BaiduFake['setVisitor']>[0] & object,
  port: number,
): Promise<Approvals> {
  const waiting = () =>
    devices.all.filter(({ state, expiresAt }) => /^(waiting|scanned)$/.test(state) && expiresAt > Date.now());

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'POST') {
      const form = new URLSearchParams(await text(request));
      const flow = waiting().find(({ userCode }) => userCode === form.get('code'));
      if (flow && form.get('answer') === 'approve') devices.approve(person, flow.userCode);
      else if (flow) devices.deny(flow.userCode);
      response.writeHead(303, { location: '/' }).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(pageOf(waiting()));
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy()); // The browser went away.
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${port}/`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** User codes are made by the imitation, of letters and digits. */
const pageOf = (flows: readonly { readonly userCode: string }[]): string => `<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="3">
<title>Sign-ins that wait</title>
<style>body { margin: 10vh auto; max-width: 30rem; font: 1rem/1.5 system-ui, sans-serif; color-scheme: light dark }</style>
<h1>Sign-ins that wait for Ada</h1>
${flows.map(({ userCode }) => rowOf(userCode)).join('') || '<p>None. Begin one with <code>startDeviceLink</code>.</p>'}
`;

const rowOf = (userCode: string): string => `<form method="post"><p><code>${userCode}</code>
<input type="hidden" name="code" value="${userCode}">
<button name="answer" value="approve">Approve</button> <button name="answer" value="deny">Deny</button></p></form>
`;
