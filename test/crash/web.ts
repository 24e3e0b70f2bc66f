import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type FaultPlan, startFaultProxy } from './fault-proxy.ts';

export interface Web {
  readonly url: string;
  readonly files: Map<string, Buffer>;
  close(): Promise<void>;
}

/** Another server with files: it knows ranges and validators, and is behind the same faults. */
export async function startWeb(plan: FaultPlan): Promise<Web> {
  const files = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const bytes = files.get(request.url ?? '');
    if (!bytes) return void response.writeHead(404).end();
    const etag = `"${createHash('sha256').update(bytes).digest('hex')}"`;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (from === 0 || request.headers['if-range'] !== etag) return void response.writeHead(200, { etag }).end(bytes);
    const range = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(206, { etag, ...range }).end(bytes.subarray(from));
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const proxy = await startFaultProxy('web', `http://127.0.0.1:${(server.address() as AddressInfo).port}`, plan);
  return {
    url: proxy.url,
    files,
    close: async () => {
      await proxy.close();
      server.closeAllConnections();
      server.close();
    },
  };
}
