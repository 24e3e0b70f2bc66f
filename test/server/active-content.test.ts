import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { startTestApp, type TestApp } from '../support/app.ts';
import { launchChromium, skipWithoutChromium } from '../support/chromium.ts';
import { putFile } from '../support/files.ts';
import { type Person, registerUser } from '../support/people.ts';

/** What would tell that something of a file ran: it asks this server for it. */
const RAN = '/ran';
const CALL = `new Image().src='${RAN}?script';fetch('${RAN}?fetch')`;
const SVG = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';

/** Pictures and sound of this server may be shown: a browser shows a picture as one in a page. They are asked for without rights. */
const PASSIVE = /\?(image|background|video|audio|poster|svg|md|icon|prefetch)$/;

/** Files that have run something where others showed them: by name, so that the type is the one that we would give. */
const CORPUS: Readonly<Record<string, string>> = {
  'script.html': `<script>${CALL}</script>`,
  'no-end.htm': `<script>${CALL}`,
  'image-error.html': `<img src="${RAN}?image" onerror="${CALL}">`,
  'style.html': `<link rel=stylesheet href="${RAN}?style"><style>body{background:url(${RAN}?background)}</style>`,
  'refresh.html': `<meta http-equiv="refresh" content="0;url=${RAN}?refresh">`,
  'refresh-script.html': `<meta http-equiv="refresh" content="0;url=javascript:${CALL}">`,
  'base.html': `<base href="${RAN}/"><script src="x.js"></script><img src="y.png">`,
  'frame.html': `<iframe src="${RAN}?frame"></iframe><iframe srcdoc="<script>${CALL}</script>"></iframe>`,
  'frame-script.html': `<iframe src="javascript:${CALL}"></iframe>`,
  'object.html': `<object data="${RAN}?object"></object><embed src="${RAN}?embed">`,
  'form.html': `<form action="${RAN}?form" method=post><input autofocus onfocus="${CALL};this.form.submit()"></form>`,
  'module.html': `<script type=module>${CALL}</script><script type=module src="${RAN}?module"></script>`,
  'worker.html': `<script>new Worker('${RAN}?worker');navigator.serviceWorker.register('${RAN}?service')</script>`,
  'svg-inside.html': `<svg ${SVG} onload="${CALL}"></svg>`,
  'details.html': `<details open ontoggle="${CALL}">x</details><video src="${RAN}?video" onerror="${CALL}"></video>`,
  'media.html': `<audio autoplay src="${RAN}?audio"></audio><video autoplay poster="${RAN}?poster"></video>`,
  'prefetch.html': `<link rel=prefetch href="${RAN}?prefetch"><link rel=preload as=script href="${RAN}?preload">`,
  'manifest.html': `<link rel=manifest href="${RAN}?manifest"><link rel=icon href="${RAN}?icon">`,
  'ping.html': `<a id=a href="#x" ping="${RAN}?ping">x</a><script>a.click()</script>`,
  'policy.html': `<meta http-equiv="Content-Security-Policy" content="default-src *; script-src 'unsafe-inline'"><script>${CALL}</script>`,
  'page.xhtml': `<html xmlns="http://www.w3.org/1999/xhtml"><script>${CALL}</script></html>`,
  'onload.svg': `<svg ${SVG} onload="${CALL}"/>`,
  'script.svg': `<svg ${SVG}><script>${CALL}</script></svg>`,
  'linked.svg': `<svg ${SVG}><image href="${RAN}?svg"/><use xlink:href="${RAN}?use#x"/><script href="${RAN}?href"/></svg>`,
  'foreign.svg': `<svg ${SVG}><foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" src="javascript:${CALL}"/></foreignObject></svg>`,
  'animate.svg': `<svg ${SVG}><a><animate attributeName="href" values="javascript:${CALL}"/></a><set onbegin="${CALL}" attributeName="x"/></svg>`,
  'style.xml': `<?xml-stylesheet type="text/xsl" href="${RAN}?xsl"?><x/>`,
  'entity.xml': `<!DOCTYPE x [<!ENTITY e SYSTEM "${RAN}?entity">]><x xmlns:h="http://www.w3.org/1999/xhtml"><h:script>${CALL}</h:script>&e;</x>`,
  'looks-like-html.txt': `<html><script>${CALL}</script></html>`,
  'looks-like-html': `<!doctype html><script>${CALL}</script>`,
  'looks-like-html.json': `{"a":"<script>${CALL}</script>"}`,
  'looks-like-html.md': `# x\n<script>${CALL}</script>\n![x](${RAN}?md)`,
  'polyglot.gif': `GIF89a/*<script>${CALL}</script>*/=1;${CALL}`,
  'script.js': CALL,
  'open.pdf': `%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/URI/URI(${RAN}?pdf)>>>>endobj\ntrailer<</Root 1 0 R>>`,
  'mail.mht': `MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<script>${CALL}</script>`,
};

describe('files that a browser would run', { skip: skipWithoutChromium(), timeout: 120_000, concurrency: 8 }, () => {
  let app: TestApp;
  let person: Person;
  let browser: Browser;
  const asked: string[] = [];
  /** What a file, whose calls carry its number, asked this server for, but for what is only shown. */
  const ranOf = (mark: string): string[] =>
    asked.filter((url) => new RegExp(`^${RAN}/${mark}[/?]`).test(url) && !PASSIVE.test(url)).toSorted();
  const marked = (content: string, mark: string): string => content.replaceAll(RAN, `${RAN}/${mark}`);
  before(async () => {
    app = await startTestApp({ settings: { DOWNLOAD_LIMIT: '1000' } });
    app.app.server.on('request', ({ url = '' }) => url.startsWith(RAN) && asked.push(url));
    person = await registerUser(app);
    browser = await launchChromium();
  });
  after(async () => {
    await browser.close();
    await app.close();
  });

  /** A ticket or a direct link, to be shown in the browser. */
  async function inlineUrls(id: string): Promise<readonly string[]> {
    const { data, errors } = await app.graphql(
      `mutation ($file: EntryRef!) {
        createDownloadTicket(input: { file: $file, attachment: false }) { ... on CreateDownloadTicketPayload { ticket { url } } }
        createDirectLink(input: { file: $file }) { ... on CreateDirectLinkPayload { link { url } } }
      }`,
      { file: { id } },
      person.token,
    );
    assert.equal(errors, undefined, JSON.stringify(errors));
    return [data.createDownloadTicket.ticket.url, data.createDirectLink.link.url];
  }

  it('the corpus does run where nothing holds it: else this would test nothing', async () => {
    const page = await browser.newPage();
    await page.route('**/unheld', (route) =>
      route.fulfill({ contentType: 'text/html', body: marked(CORPUS['script.html'] ?? '', 'unheld') }),
    );
    await page.goto(`${app.url}/unheld`, { waitUntil: 'networkidle' });
    await page.close();
    assert.deepEqual(ranOf('unheld'), [`${RAN}/unheld?fetch`, `${RAN}/unheld?script`]);
  });

  for (const [index, [name, content]] of Object.entries(CORPUS).entries()) {
    it(`${name} runs nothing`, async () => {
      const { id } = await putFile(app, person, name, Buffer.from(marked(content, `${index}`)));
      const page = await browser.newPage();
      try {
        for (const url of await inlineUrls(id)) {
          // Some are saved instead of shown, which is as good.
          const shown = await page.goto(url, { waitUntil: 'networkidle' }).catch((error: Error) => {
            assert.match(error.message, /Download is starting|ERR_ABORTED/);
            return null;
          });
          if (shown) assert.equal(shown.headers()['x-content-type-options'], 'nosniff');
        }
        assert.deepEqual(ranOf(`${index}`), []);
        assert.equal(page.context().pages().length, 1, 'nor does it open a window');
      } finally {
        await page.close();
      }
    });
  }
});
