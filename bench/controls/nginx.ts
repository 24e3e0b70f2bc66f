import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, type ServerProcess, startProcess } from '../../demo/process.ts';
import { SERVER_PINNED } from '../pinning.ts';

/** Debian keeps it where only root's PATH looks. */
const PROGRAM = ['nginx', '/usr/sbin/nginx'].find((program) => spawnSync(program, ['-v']).status === 0);

/** Why nginx cannot be the control here; null when it can. */
export const nginxMissing = PROGRAM ? null : 'nginx is not installed here (Debian: apt-get install nginx-light)';

/** nginx in one process on loopback, giving out the files of a folder by sendfile. */
export async function startNginx(folder: string, filesFolder: string, signal: AbortSignal): Promise<ServerProcess> {
  const port = await freePort();
  const prefix = join(folder, 'nginx');
  await mkdir(prefix);
  const config = join(prefix, 'nginx.conf');
  await writeFile(config, configOf(prefix, filesFolder, port));
  const [program = '', ...args] = [...SERVER_PINNED, PROGRAM ?? 'nginx', '-p', prefix, '-c', config];
  return startProcess({
    name: 'nginx',
    command: [program, ...args, '-e', join(prefix, 'error.log')],
    cwd: prefix,
    env: process.env,
    port,
    readyPath: '/ready',
    signal,
  });
}

/** One process, as ours is one: then its CPU time is all there is to count. */
const configOf = (prefix: string, filesFolder: string, port: number): string => `
daemon off;
master_process off;
pid ${prefix}/nginx.pid;
events { worker_connections 64; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path ${prefix}/body;
  proxy_temp_path ${prefix}/proxy;
  fastcgi_temp_path ${prefix}/fastcgi;
  uwsgi_temp_path ${prefix}/uwsgi;
  scgi_temp_path ${prefix}/scgi;
  server {
    listen 127.0.0.1:${port};
    root ${filesFolder};
    location = /ready { return 200; }
  }
}
`;
