import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** Answers the requests of one path, or of all paths below it. */
export interface Route {
  /** `/graphql`, or with a slash at the end, `/uploads/`, everything below. */
  readonly path: string;
  handle(request: IncomingMessage, response: ServerResponse): unknown;
}

/** The one listener: finds the route by path, longest first. */
export function createHttpServer(routes: readonly Route[]): Server {
  const byLength = routes.toSorted((left, right) => right.path.length - left.path.length);
  return createServer((request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const route = byLength.find((candidate) =>
      candidate.path.endsWith('/') && candidate.path !== '/'
        ? path.startsWith(candidate.path)
        : path === candidate.path,
    );
    if (route) {
      route.handle(request, response);
      return;
    }
    response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
    response.end('Nothing is here. The API is at /graphql.\n');
  });
}
