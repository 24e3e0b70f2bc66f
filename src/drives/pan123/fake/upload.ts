import { createHash, randomBytes } from 'node:crypto';
import { type Part, partsOf } from './multipart.ts';
import { type Content, checkName, type Entry, freeName } from './tree.ts';
import { type Asked, type Endpoint, type Fields, Refusal, Reply } from './wire.ts';
import type { User, World } from './world.ts';

const FILE_MAX = 10_000_000_000;
const SINGLE_MAX = 1_000_000_000;
const COMMON = 'parentFileID:int! filename:text! etag:text! size:int! duplicate:int containDir:bool';

/** An upload that was announced. */
export interface Session {
  readonly id: string;
  readonly user: User;
  readonly wanted: Wanted;
  readonly sliceBytes: number;
  /** From 1. */
  readonly slices: Map<number, Buffer>;
  polls: number;
  made: Entry | null;
}

/** What is to be made of the bytes. */
export interface Wanted {
  readonly parent: Entry;
  readonly name: string;
  readonly etag: string;
  readonly size: number;
  readonly duplicate: number | null;
}

/** Uploads of both versions; the first version's own calls are in upload-v1.ts. */
export class Uploads {
  slicesReceived = 0;
  readonly #world: World;
  readonly #sessions = new Map<string, Session>();

  constructor(world: World) {
    this.#world = world;
  }

  endpoints(): Endpoint[] {
    const post = (path: string, params: string, handle: (call: Asked) => unknown): Endpoint => ({
      role: 'api',
      verb: 'POST',
      path,
      auth: 'token',
      params,
      handle,
    });
    const multipart = (role: 'upload' | 'upload2', path: string, handle: (call: Asked) => unknown): Endpoint => ({
      role,
      verb: 'POST',
      path,
      auth: 'token',
      params: '*',
      multipart: true,
      handle,
    });
    return [
      post('/upload/v2/file/create', COMMON, (call) => this.#createV2(call)),
      post('/upload/v2/file/upload_complete', 'preuploadID:text!', (call) => this.#completeV2(call)),
      post(
        '/upload/v2/file/sha1_reuse',
        'parentFileID:int! filename:text! sha1:text! size:int! duplicate:int',
        (call) => this.#sha1Reuse(call),
      ),
      {
        role: 'api',
        verb: 'GET',
        path: '/upload/v2/file/domain',
        auth: 'token',
        params: '',
        handle: () => this.#servers,
      },
      ...(['upload', 'upload2'] as const).flatMap((role) => [
        multipart(role, '/upload/v2/file/slice', (call) => this.#slice(call)),
        multipart(role, '/upload/v2/file/single/create', (call) => this.#single(call)),
      ]),
    ];
  }

  /** Loses a slice of each upload under way, or has others of its bytes; the rest stays. */
  damage(number: number, bytes: Buffer | null): void {
    for (const { slices } of this.#sessions.values()) {
      if (bytes === null) slices.delete(number);
      else if (slices.has(number)) slices.set(number, bytes);
    }
  }

  /** Forgets all that is under way. */
  forget(): void {
    this.#sessions.clear();
  }

  /** Of two, one comes without a scheme and with a slash at the end. */
  get #servers(): string[] {
    const { upload, upload2 } = this.#world.urls;
    return [upload, `${upload2.replace(/^https?:\/\//, '')}/`];
  }

  /** @throws Refusal */
  wantedOf({ user, values }: Asked): Wanted {
    const duplicate = values.has('duplicate') ? values.int('duplicate') : null;
    const wanted = {
      parent: user.tree.folder(values.id('parentFileID')),
      name: values.text('filename'),
      etag: values.text('etag'),
      size: values.int('size'),
      duplicate,
    };
    this.#check(wanted);
    return wanted;
  }

  #check({ name, etag, size, duplicate, parent }: Wanted): void {
    checkName(name);
    if (!/^[0-9a-f]{32}$/.test(etag)) {
      this.#world.violate(`an etag is not an MD5 in lower case: ${etag}`);
      throw new Refusal(1, 'etag错误');
    }
    if (duplicate !== null && duplicate !== 1 && duplicate !== 2) {
      this.#world.violate(`duplicate is ${duplicate}`);
      throw new Refusal(1, 'duplicate参数错误');
    }
    if (size < 1 || size > FILE_MAX) throw new Refusal(1, '文件大小错误');
    if (parent.kind !== 'folder') throw new Refusal(1, '父级目录不存在');
  }

  /** @throws Refusal when the name is taken and nothing is said about it. */
  checkFree(user: User, { parent, name, duplicate }: Wanted): void {
    if (duplicate === null && user.tree.named(parent, name)) throw new Refusal(1, '文件名重复，该目录下已存在');
  }

  make(user: User, wanted: Wanted, content: Content): Entry {
    this.checkFree(user, wanted);
    const there = user.tree.named(wanted.parent, wanted.name);
    if (there && wanted.duplicate === 2) user.tree.drop(there);
    const name = there && wanted.duplicate === 1 ? freeName(user.tree, wanted.parent, wanted.name) : wanted.name;
    return this.#world.place(user, wanted.parent, name, content);
  }

  begin(user: User, wanted: Wanted): Session {
    const id = randomBytes(150).toString('base64url');
    const { sliceBytes } = this.#world.settings;
    const session: Session = { id, user, wanted, sliceBytes, slices: new Map(), polls: 0, made: null };
    this.#sessions.set(id, session);
    return session;
  }

  known(wanted: Wanted): Content | null {
    const content = this.#world.settings.reuse ? this.#world.contents.get(wanted.etag) : undefined;
    return content && content.bytes.length === wanted.size ? content : null;
  }

  /** @throws Refusal */
  session({ user, values }: Asked): Session {
    return this.sessionOf(values.text('preuploadID'), user);
  }

  sessionOf(id: string, user: User): Session {
    const session = this.#sessions.get(id);
    if (session?.user !== user) throw new Refusal(1, '预上传ID不存在或已过期');
    return session;
  }

  /** @throws Refusal when it is not the slice that was announced. */
  store(session: Session, number: number, bytes: Buffer): void {
    const { size } = session.wanted;
    const count = Math.ceil(size / session.sliceBytes);
    const expected = Math.min(session.sliceBytes, size - (number - 1) * session.sliceBytes);
    if (!Number.isInteger(number) || number < 1 || number > count || bytes.length !== expected) {
      this.#world.violate(`slice ${number} of ${count} has ${bytes.length} bytes in place of ${expected}`);
      throw new Refusal(1, '分片大小错误');
    }
    this.slicesReceived += 1;
    session.slices.set(number, bytes);
  }

  /** The file of the slices. @throws Refusal when they are not what was announced. */
  finish(session: Session): Entry {
    const bytes = Buffer.concat(
      [...session.slices].toSorted(([one], [other]) => one - other).map(([, slice]) => slice),
    );
    if (bytes.length !== session.wanted.size || md5(bytes) !== session.wanted.etag) {
      throw new Refusal(1, '文件上传失败');
    }
    session.made = this.make(session.user, session.wanted, this.#world.keep(bytes));
    return session.made;
  }

  #createV2(call: Asked): Fields {
    const { settings } = this.#world;
    const wanted = this.wantedOf(call);
    this.checkFree(call.user, wanted);
    const content = this.known(wanted);
    if (content) {
      const { id } = this.make(call.user, wanted, content);
      return { reuse: true, fileID: settings.reuseWithoutId ? 0n : id };
    }
    const { id, sliceBytes } = this.begin(call.user, wanted);
    const servers = settings.serversInCreate ? this.#servers : [];
    return { reuse: false, fileID: 0n, preuploadID: id, sliceSize: sliceBytes, servers };
  }

  #completeV2(call: Asked): Fields {
    const session = this.session(call);
    if (session.made) return { completed: true, fileID: session.made.id };
    session.polls += 1;
    const { mergePolls, mergeAnswer } = this.#world.settings;
    if (session.polls <= mergePolls) {
      if (mergeAnswer === '20103') throw new Refusal(20103, '文件正在校验中,请间隔1秒后再试');
      return { completed: false, fileID: 0n };
    }
    return { completed: true, fileID: this.finish(session).id };
  }

  #form(call: Asked): { readonly texts: ReadonlyMap<string, string>; readonly file: Part } {
    if (call.headers['content-length'] === undefined) this.#world.violate('bytes came without their length');
    const parts = partsOf(call.headers['content-type'] ?? '', call.body);
    const fault = typeof parts === 'string' ? parts : formFault(parts);
    if (typeof parts === 'string' || fault !== null) {
      this.#world.violate(`${call.path}: ${fault}`);
      throw new Refusal(400, '参数错误');
    }
    const file = parts.at(-1);
    if (!file) throw new Refusal(400, '参数错误');
    return { file, texts: new Map(parts.slice(0, -1).map(({ name, bytes }) => [name, bytes.toString()])) };
  }

  #slice(call: Asked): unknown {
    const { texts, file } = this.#form(call);
    this.#expect(call, texts, ['preuploadID', 'sliceNo', 'sliceMD5'], []);
    if (file.name !== 'slice') this.#world.violate(`the bytes of a slice are in the field ${file.name}`);
    const session = this.sessionOf(texts.get('preuploadID') ?? '', call.user);
    if (texts.get('sliceMD5') !== md5(file.bytes)) throw new Refusal(1, '分片MD5校验失败');
    this.store(session, Number(texts.get('sliceNo')), Buffer.from(file.bytes));
    return this.#world.settings.emptySliceAnswer ? new Reply(200, {}, '') : null;
  }

  #single(call: Asked): Fields {
    const { texts, file } = this.#form(call);
    this.#expect(call, texts, ['parentFileID', 'filename', 'etag', 'size'], ['duplicate', 'containDir']);
    if (file.name !== 'file') this.#world.violate(`the bytes of a file are in the field ${file.name}`);
    if (file.bytes.length > SINGLE_MAX) throw new Refusal(1, '文件大小超过限制');
    const duplicate = texts.has('duplicate') ? Number(texts.get('duplicate')) : null;
    const wanted: Wanted = {
      parent: call.user.tree.folder(BigInt(texts.get('parentFileID') ?? '-1')),
      name: texts.get('filename') ?? '',
      etag: texts.get('etag') ?? '',
      size: Number(texts.get('size')),
      duplicate,
    };
    this.#check(wanted);
    if (file.bytes.length !== wanted.size || md5(file.bytes) !== wanted.etag) throw new Refusal(1, '文件上传失败');
    const entry = this.make(call.user, wanted, this.#world.keep(Buffer.from(file.bytes)));
    return this.#world.settings.singleIncomplete
      ? { completed: false, fileID: 0n }
      : { completed: true, fileID: entry.id };
  }

  #expect(call: Asked, texts: ReadonlyMap<string, string>, needed: readonly string[], more: readonly string[]): void {
    const missing = needed.filter((name) => !texts.has(name));
    const unknown = [...texts.keys()].filter((name) => !needed.includes(name) && !more.includes(name));
    if (missing.length + unknown.length === 0) return;
    this.#world.violate(`${call.path}: missing ${missing}, unknown ${unknown}`);
    throw new Refusal(400, '参数错误');
  }

  #sha1Reuse(call: Asked): Fields {
    const { user, values } = call;
    const sha1 = values.text('sha1');
    if (!/^[0-9a-f]{40}$/.test(sha1)) this.#world.violate('a SHA-1 is not one in lower case');
    const content = [...this.#world.contents.values()].find(
      ({ bytes }) => createHash('sha1').update(bytes).digest('hex') === sha1 && bytes.length === values.int('size'),
    );
    if (!content) return { reuse: false, fileID: 0n };
    const duplicate = values.has('duplicate') ? values.int('duplicate') : null;
    const parent = user.tree.folder(values.id('parentFileID'));
    const wanted = { parent, name: values.text('filename'), etag: content.md5, size: content.bytes.length, duplicate };
    return { reuse: true, fileID: this.make(user, wanted, content).id };
  }
}

/** Text fields come before the one file. */
function formFault(parts: readonly Part[]): string | null {
  const files = parts.filter(({ filename }) => filename !== null);
  if (files.length !== 1) return 'there is not exactly one file in the form';
  return parts.at(-1)?.filename === null ? 'the file does not come last' : null;
}

const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');
