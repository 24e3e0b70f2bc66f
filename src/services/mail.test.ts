import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { captureLog } from '../../test/support/log.ts';
import { SELF_SIGNED } from '../../test/support/self-signed.ts';
import { Secret } from '../lib/secret.ts';
import { createMailer } from './mail.ts';

const dataDir = await mkdtemp(join(tmpdir(), 'panql-mail-'));
after(() => rm(dataDir, { recursive: true }));

const clock = { now: () => new Date('2026-11-20T12:00:00Z') };
const MAIL = { to: 'ada@example.org', subject: 'Zurücksetzen', text: 'The code:\n\nabc-123\n' };
const open = (smtpUrl: string | null, folder = dataDir, capture = captureLog()) =>
  createMailer({
    smtpUrl: smtpUrl === null ? null : new Secret(smtpUrl),
    from: 'PanQL <panql@example.org>',
    dataDir: folder,
    clock,
    log: capture.log,
  });

describe('without a mail server', () => {
  test('a mail lands in the outbox, for its owner alone, and the log tells where', async () => {
    const capture = captureLog();
    const mailer = open(null, dataDir, capture);
    await mailer.send(MAIL);
    mailer.close();
    const folder = join(dataDir, 'outbox');
    const [name = '', ...others] = await readdir(folder);
    assert.deepEqual(others, []);
    assert.match(name, /^2026-11-20T12-00-00\.000Z-.+\.eml$/);
    const file = join(folder, name);
    assert.equal(capture.lines.find(({ msg }) => msg.includes('SMTP_URL'))?.file, file);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    const mail = await readFile(file, 'utf8');
    assert.match(mail, /^To: ada@example\.org$/m);
    assert.match(mail, /^From: PanQL <panql@example\.org>$/m);
    assert.match(mail, /\n\nThe code:\n\nabc-123\n/);
    assert.ok(!JSON.stringify(capture.lines).includes('abc-123'), 'the log does not hold what the mail says');
  });

  test('two mails of one moment are two files', async () => {
    const folder = join(dataDir, 'two');
    const mailer = open(null, folder);
    await Promise.all([mailer.send(MAIL), mailer.send(MAIL)]);
    assert.equal((await readdir(join(folder, 'outbox'))).length, 2);
  });

  test('a subject or address cannot add a header', async () => {
    const folder = join(dataDir, 'header');
    await open(null, folder).send({
      ...MAIL,
      to: 'ada@example.org\r\nBcc: eve@example.org',
      subject: 'x\r\nX-Evil: yes',
    });
    const [name = ''] = await readdir(join(folder, 'outbox'));
    const [head = ''] = (await readFile(join(folder, 'outbox', name), 'utf8')).split('\n\n');
    assert.doesNotMatch(head, /^(Bcc|X-Evil):/im);
  });

  test('an outbox that cannot be written is an error of the sender', async () => {
    const file = join(dataDir, 'a-file');
    await writeFile(file, '');
    await assert.rejects(open(null, file).send(MAIL), { code: 'ENOTDIR' });
  });
});

describe('with a mail server', () => {
  test('a mail is handed over as it is', async () => {
    const server = await startSmtp();
    const mailer = open(server.url);
    await mailer.send(MAIL);
    mailer.close();
    assert.match(server.received(), /MAIL FROM:<panql@example\.org>[\s\S]*RCPT TO:<ada@example\.org>[\s\S]*abc-123/);
    await server.close();
  });

  test('a refusal is an error of the sender', async () => {
    const server = await startSmtp({ refuse: true });
    const mailer = open(server.url);
    await assert.rejects(mailer.send(MAIL), { responseCode: 550 });
    mailer.close();
    await server.close();
  });

  test('a server that is not there is an error of the sender', async () => {
    await assert.rejects(open('smtp://127.0.0.1:1').send(MAIL), { code: 'ESOCKET' });
  });

  test('a certificate that nobody vouches for is refused', async () => {
    const server = createTlsServer(SELF_SIGNED, (socket) => socket.end('220 hello\r\n'));
    server.on('tlsClientError', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await assert.rejects(open(`smtps://127.0.0.1:${port}`).send(MAIL), /self.signed/i);
    server.close();
  });
});

/** The little of SMTP that a client needs to deliver one mail. */
async function startSmtp({ refuse = false } = {}) {
  let text = '';
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let inData = false;
    socket.write('220 test ESMTP\r\n');
    socket.on('data', (chunk) => {
      text += chunk;
      for (const line of String(chunk).split('\r\n')) {
        if (inData) {
          if (line !== '.') continue;
          inData = false;
          socket.write('250 taken\r\n');
        } else if (/^EHLO/i.test(line)) socket.write('250 test\r\n');
        else if (/^RCPT/i.test(line)) socket.write(refuse ? '550 no such user\r\n' : '250 ok\r\n');
        else if (/^DATA/i.test(line)) {
          inData = true;
          socket.write('354 go on\r\n');
        } else if (/^(MAIL|RSET|QUIT)/i.test(line)) socket.write('250 ok\r\n');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: () => text,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(resolve);
      }),
  };
}
