/* The script of the GraphiQL page, in the browser: keeps the session, and starts GraphiQL. */

const STORED = 'panql.session'; // Of this tab of the browser only: a token does not stay on the disk.
/** A token is renewed when it has less than this left, in milliseconds. */
const RENEW_MS = 30_000;
const PLACEHOLDER = '<accessToken>';
/** In the variables of the tab that uploads. */
const FOLDER_PLACEHOLDER = '<id of a folder>';

const settings = JSON.parse(document.querySelector('#settings').textContent);
const ask = globalThis.fetch.bind(globalThis);
let session = JSON.parse(sessionStorage.getItem(STORED) ?? 'null');
let renewal = null;

globalThis.fetch = async (resource, init = {}) => {
  const headers = new Headers(init.headers);
  const written = headers.get('authorization');
  if (written === null || written.includes(PLACEHOLDER)) {
    headers.delete('authorization');
    const token = await currentToken();
    if (token) headers.set('authorization', `Bearer ${token}`);
  }
  const response = await ask(resource, { ...init, headers, ...(await withFolder(init.body, headers)) });
  if (response.headers.get('content-type')?.includes('json')) void noticeSession(response.clone());
  return response;
};

/** Whoever has not written the id of a folder yet means the root of the first drive. */
async function withFolder(body, headers) {
  if (typeof body !== 'string' || !body.includes(FOLDER_PLACEHOLDER)) return {};
  const query = '{ viewer { accounts(first: 1) { nodes { root { id } } } } }';
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }) };
  const token = headers.get('authorization');
  if (token) init.headers.authorization = token;
  const { data } = await (await ask(settings.endpoint, init)).json();
  const id = data?.viewer?.accounts.nodes[0]?.root?.id;
  return id ? { body: body.replaceAll(FOLDER_PLACEHOLDER, id) } : {};
}

async function currentToken() {
  if (session && new Date(session.accessTokenExpiresAt) - Date.now() < RENEW_MS) {
    renewal ??= renew().finally(() => {
      renewal = null;
    });
    await renewal;
  }
  return session?.accessToken ?? null;
}

async function renew() {
  const query = `mutation($input: RefreshSessionInput!) {
    refreshSession(input: $input) {
      ... on RefreshSessionPayload { session { accessToken accessTokenExpiresAt refreshToken } }
    }
  }`;
  const response = await ask(settings.endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { input: { refreshToken: session.refreshToken } } }),
  });
  const { data } = await response.json();
  const renewed = data?.refreshSession?.session;
  keep(renewed ? { ...session, ...renewed } : null);
}

/** Signing in by any operation signs the page in; signing out, out. */
async function noticeSession(response) {
  const { data } = await response.json().catch(() => ({}));
  for (const result of Object.values(data ?? {})) {
    if (result?.session?.accessToken) {
      keep({ name: session?.name ?? 'you', ...result.session, ...(result.user ? { name: result.user.username } : {}) });
    }
  }
  if (data?.logout?.ok) keep(null);
}

function keep(next) {
  session = next;
  if (next) sessionStorage.setItem(STORED, JSON.stringify(next));
  else sessionStorage.removeItem(STORED);
  show();
}

function show() {
  const place = document.querySelector('.session');
  place.classList.toggle('open', session !== null);
  place.querySelector('span').textContent = session
    ? `Signed in as ${session.name}: each request carries your session`
    : 'Not signed in: run Register or SignIn';
  place.querySelector('button').hidden = session === null;
}

document.querySelector('.session button').addEventListener('click', () => keep(null));
show();

globalThis.MonacoEnvironment = {
  globalAPI: false,
  getWorkerUrl: (_module, label) => settings.workers[label] ?? settings.workers.editorWorkerService,
};

// GraphiQL takes the variables of the first tab from here only; later it remembers its tabs itself.
const [first] = settings.tabs;
const atFirst = localStorage.getItem('graphiql:tabState')
  ? {}
  : { initialVariables: first.variables, initialHeaders: first.headers };

globalThis.YogaGraphiQL.renderYogaGraphiQL(document.querySelector('#graphiql'), {
  endpoint: settings.endpoint,
  defaultTabs: settings.tabs,
  defaultHeaders: first.headers,
  ...atFirst,
  defaultEditorToolsVisibility: 'variables',
  shouldPersistHeaders: false,
  subscriptionsProtocol: 'SSE', // By fetch, which carries the headers; a browser's WebSocket cannot.
  inputValueDeprecation: true,
  schemaDescription: true,
});
