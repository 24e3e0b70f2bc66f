import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Cloud, CodeLinking } from './cloud.ts';

export interface Approvals {
  readonly url: string;
  close(): Promise<void>;
}

/** The page on which the people of the imitations confirm or refuse the codes that wait. */
export async function startApprovals(clouds: readonly Cloud[], port: number): Promise<Approvals> {
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'POST') {
      const form = new URLSearchParams(await text(request));
      const linking = codeLinkingOf(clouds.find(({ provider }) => provider === form.get('provider')));
      const code = linking?.waiting().find((waiting) => waiting === form.get('code'));
      if (linking && code !== undefined) decide(linking, code, form.get('answer'));
      response.writeHead(303, { location: '/' }).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(pageOf(clouds));
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

const codeLinkingOf = (cloud: Cloud | undefined): CodeLinking | null =>
  cloud?.linking.method === 'DEVICE_CODE' ? cloud.linking : null;

function decide(linking: CodeLinking, code: string, answer: string | null): void {
  if (answer === 'scan') linking.scan?.(code);
  else if (answer === 'approve') linking.confirm(code);
  else linking.refuse(code);
}

/** All texts are the imitations' own: codes are made of letters and digits. */
function pageOf(clouds: readonly Cloud[]): string {
  const rows = clouds.flatMap((cloud) => {
    const linking = codeLinkingOf(cloud);
    return (linking?.waiting() ?? []).map((code) => rowOf(cloud, code, linking?.scan !== undefined));
  });
  return `<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="3">
<title>Sign-ins that wait</title>
<style>body { margin: 10vh auto; max-width: 30rem; font: 1rem/1.5 system-ui, sans-serif; color-scheme: light dark }</style>
<h1>Sign-ins that wait</h1>
${rows.join('') || '<p>None. Begin one with <code>startDeviceLink</code>.</p>'}
`;
}

const rowOf = ({ provider, title, person }: Cloud, code: string, scans: boolean): string => `<form method="post">
<p>${person} at ${title}: <code>${code}</code>
<input type="hidden" name="provider" value="${provider}"><input type="hidden" name="code" value="${code}">
${scans ? '<button name="answer" value="scan">Scan</button> ' : ''}<button name="answer" value="approve">Approve</button>
<button name="answer" value="deny">Deny</button></p></form>
`;
