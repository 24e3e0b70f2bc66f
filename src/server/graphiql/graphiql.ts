import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Route } from '../http.ts';
import { DEFAULT_TABS } from './tabs.ts';

/** GraphiQL, served whole from here: the page asks no other host for anything. */
export interface Graphiql {
  page(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** The scripts and styles of the page. */
  readonly assets: Route;
}

const ASSETS_PATH = '/graphiql/';

/** Enforces what the page promises: nothing from elsewhere. GraphiQL's editor writes style attributes. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** @param endpoint The path of the API. */
export function createGraphiql(endpoint: string): Graphiql {
  let loading: Promise<Bundle> | null = null;
  // 9 MB of scripts: read and compressed once, when the first browser comes.
  const load = (): Promise<Bundle> => {
    loading ??= loadBundle(endpoint);
    return loading;
  };
  return {
    page: async (request, response) => {
      const { page } = await load();
      response.setHeader('Content-Security-Policy', PAGE_POLICY);
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cache-Control', 'no-cache');
      response.appendHeader('Vary', 'Accept, Accept-Encoding');
      send(request, response, page);
    },
    assets: {
      path: ASSETS_PATH,
      handle: async (request, response) => {
        const { assets } = await load();
        const asset = assets.get(request.url ?? '');
        if (!asset) {
          response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' }).end('There is no such file.\n');
          return;
        }
        // Its content is in its name.
        response.setHeader('Cache-Control', 'public, max-age=31536000, immutable');
        response.appendHeader('Vary', 'Accept-Encoding');
        send(request, response, asset);
      },
    },
  };
}

interface Asset {
  readonly type: string;
  readonly etag: string;
  readonly plain: Buffer;
  readonly gzipped: Buffer;
}

interface Bundle {
  readonly page: Asset;
  /** By the path of each. */
  readonly assets: ReadonlyMap<string, Asset>;
}

async function loadBundle(endpoint: string): Promise<Bundle> {
  // Imported here, not above: nobody but this page needs it, and it takes its time.
  const graphiql = await import('@graphql-yoga/render-graphiql/graphiql');
  const [pageScript, pageStyle] = await Promise.all([readBeside('page.js'), readBeside('page.css')]);
  const assets = new Map<string, Asset>();
  const add = async (name: string, type: string, text: string): Promise<string> => {
    const asset = await makeAsset(type, text);
    const path = `${ASSETS_PATH}${asset.etag}/${name}`;
    assets.set(path, asset);
    return path;
  };
  const script = 'text/javascript; charset=utf-8';
  const style = 'text/css; charset=utf-8';
  const [graphiqlScript, graphiqlStyle, ownScript, ownStyle, editorWorkerService, jsonWorker, graphqlWorker] =
    await Promise.all([
      add('graphiql.js', script, graphiql.js),
      add('graphiql.css', style, graphiql.css),
      add('page.js', script, pageScript),
      add('page.css', style, pageStyle),
      add('editor.worker.js', script, graphiql.editorWorkerService),
      add('json.worker.js', script, graphiql.jsonWorker),
      add('graphql.worker.js', script, graphiql.graphqlWorker),
    ]);
  const settings = {
    endpoint,
    tabs: DEFAULT_TABS,
    workers: { editorWorkerService, json: jsonWorker, graphql: graphqlWorker },
  };
  const html = renderPage({ styles: [graphiqlStyle, ownStyle], scripts: [graphiqlScript, ownScript], settings });
  return { page: await makeAsset('text/html; charset=utf-8', html), assets };
}

const readBeside = (name: string): Promise<string> => readFile(new URL(name, import.meta.url), 'utf8');

async function makeAsset(type: string, text: string): Promise<Asset> {
  const plain = Buffer.from(text);
  const gzipped = await promisify(gzip)(plain, { level: 9 });
  return { type, etag: createHash('sha256').update(plain).digest('base64url').slice(0, 22), plain, gzipped };
}

function send({ headers }: IncomingMessage, response: ServerResponse, { type, etag, plain, gzipped }: Asset): void {
  response.setHeader('ETag', `"${etag}"`);
  if (headers['if-none-match']?.includes(`"${etag}"`)) {
    response.writeHead(304).end();
    return;
  }
  const zipped = /\bgzip\b/.test(String(headers['accept-encoding'] ?? ''));
  const body = zipped ? gzipped : plain;
  response.writeHead(200, {
    'Content-Type': type,
    'Content-Length': body.length,
    ...(zipped ? { 'Content-Encoding': 'gzip' } : {}),
  });
  response.end(body);
}

interface PageParts {
  readonly styles: readonly string[];
  readonly scripts: readonly string[];
  readonly settings: object;
}

const renderPage = ({ styles, scripts, settings }: PageParts): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>PanQL · GraphiQL</title>
<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(MARK)}">
${styles.map((path) => `<link rel="stylesheet" href="${path}">`).join('\n')}
</head>
<body>
<header>
${MARK}
<strong>PanQL</strong>
<span class="claim">One GraphQL API for every cloud drive</span>
<div class="session"><span></span><button type="button" hidden>Sign out of this page</button></div>
</header>
<main id="graphiql"><noscript>GraphiQL is a program of your browser: allow JavaScript for this page.</noscript></main>
<script type="application/json" id="settings">${JSON.stringify(settings).replaceAll('<', '\\u003c')}</script>
${scripts.map((path) => `<script src="${path}" defer></script>`).join('\n')}
</body>
</html>
`;

/** A cloud with a graph in it. */
const MARK = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M9 25a6 6 0 0 1-.6-12A8 8 0 0 1 24 11.6 6.8 6.8 0 0 1 23 25z" fill="#4c6fff"/><g fill="none" stroke="#fff" stroke-width="1.4"><path d="M12 20.5 16 14l4 6.5z"/></g><g fill="#fff"><circle cx="16" cy="14" r="1.9"/><circle cx="12" cy="20.5" r="1.9"/><circle cx="20" cy="20.5" r="1.9"/></g></svg>`;
