import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';

/** A small page for a person who opened an address in a browser. */
export interface Page {
  readonly title: string;
  readonly message: string;
  /** Shows a form that sends the key of a link to the same address. */
  readonly asksKey: boolean;
}

const STYLE = `
body { margin: 15vh auto; max-width: 24rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color-scheme: light dark }
h1 { font-size: 1.25rem }
input, button { font: inherit; padding: .4rem .6rem; margin: 0 .25rem .25rem 0 }
`;

/** No script, nothing from elsewhere, in no frame: only its own style, and its form to where it came from. */
const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const KEY_FORM = `<form method="post">
<label>Key <input type="password" name="key" required autofocus autocomplete="off"></label>
<button>Download</button>
</form>`;

/** Answers with a page; without its body when the request was a HEAD. */
export function sendPage(response: ServerResponse, status: number, { title, message, asksKey }: Page): void {
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(message)}</p>
${asksKey ? KEY_FORM : ''}
</html>
`;
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(html),
    'content-security-policy': PAGE_POLICY,
    'x-robots-tag': 'noindex',
  });
  response.end(html); // Node leaves the body out of the answer to a HEAD.
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
