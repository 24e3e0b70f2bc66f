import { createServer } from 'node:http';
import { FileStore } from '@tus/file-store';
import { Server } from '@tus/server';

/** The tus server that most would take, by itself: it writes what comes into a file, and neither hashes nor syncs it. */
const tus = new Server({ path: '/files', datastore: new FileStore({ directory: process.env.DATA_DIR ?? '.' }) });

createServer((request, response) => {
  if (request.url === '/ready') response.end('ready');
  else void tus.handle(request, response);
}).listen(Number(process.env.PORT), '127.0.0.1');
