import type { Content, StoredSlice } from './content.ts';
import { parseArray } from './manage.ts';
import { filePart } from './multipart.ts';
import { checkNewPath, placeDirectory, placeFile } from './placing.ts';
import { cloudMd5, isDirectory, pathOf } from './tree.ts';
import { createdView } from './views.ts';
import type { Call, Endpoint, Fields } from './wire.ts';
import { Refusal, Reply } from './wire.ts';
import type { User, World } from './world.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const FIRST_SLICE_BYTES = 4 * MIB;
/** By membership. */
const SLICE_BYTES_MAX = [4 * MIB, 16 * MIB, 32 * MIB] as const;
const FILE_BYTES_MAX = [4 * GIB, 10 * GIB, 20 * GIB] as const;
/** Rapid uploads are for files above the size of the hashed head. */
const RAPID_BYTES_MIN = 256 * 1024;
/** A finish after about 12 hours failed for people: the slices are purged. */
const SLICES_MS = 12 * 3_600_000;

/** An upload that was announced. */
export interface UploadState {
  readonly id: string;
  readonly user: User;
  readonly path: string;
  readonly size: number;
  readonly rtype: string;
  readonly blockList: readonly string[];
  readonly localCtime: number;
  readonly localMtime: number;
  readonly startedMs: number;
  readonly slices: Map<number, StoredSlice>;
  /** Files that `create` made of it. */
  commits: number;
}

/** Announces, slices and commits of one fake. */
export class Uploads {
  readonly states = new Map<string, UploadState>();
  /** By MD5. */
  readonly #received = new Map<string, StoredSlice>();
  /** Slices that were stored, repeats included. */
  slicesReceived = 0;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  unfinished(): UploadState[] {
    return [...this.states.values()].filter((state) => state.commits === 0);
  }

  /** The service forgets every announced upload: 31355 from now on. */
  forget(): void {
    this.states.clear();
  }

  /** The service loses the slices, not the sessions: 31363 at the end. */
  purgeSlices(): void {
    for (const state of this.states.values()) state.slices.clear();
  }

  endpoints(): Endpoint[] {
    const file = {
      role: 'pan',
      path: '/rest/2.0/xpan/file',
      auth: 'token',
      envelope: 'errno',
      requestId: 'number',
    } as const;
    const pcs = { role: 'pcs', auth: 'token', envelope: 'error_code', requestId: 'number' } as const;
    const send = { ...pcs, verbs: ['POST', 'PUT'], rawBody: true } as const;
    return [
      {
        ...file,
        verbs: ['POST'],
        name: 'precreate',
        method: 'precreate',
        query: '',
        form:
          'path! size:int! isdir:flag! autoinit:flag! block_list! rtype:int uploadid content-md5 slice-md5 ' +
          'local_ctime:int local_mtime:int',
        handle: (call, user) => this.#precreate(call.form, user),
      },
      {
        ...file,
        verbs: ['POST'],
        name: (call) => (call.form.get('isdir') === '1' ? 'mkdir' : 'create'),
        method: 'create',
        query: '',
        form:
          'path! isdir:flag! size:int block_list uploadid rtype:int local_ctime:int local_mtime:int mode:int ' +
          'is_revision:flag zip_quality:int zip_sign exif_info',
        handle: (call, user) =>
          call.form.get('isdir') === '1' ? this.#createDirectory(call.form, user) : this.#commit(call.form, user),
      },
      {
        ...pcs,
        auth: 'none',
        verbs: ['GET'],
        name: 'locateupload',
        path: '/rest/2.0/pcs/file',
        method: 'locateupload',
        query: 'appid! path! uploadid! upload_version!',
        answer: (call) => this.#locate(call.query),
      },
      {
        ...send,
        name: 'superfile2',
        path: '/rest/2.0/pcs/superfile2',
        method: 'upload',
        query: 'type! path! uploadid! partseq:int!',
        handle: (call, user) => this.#slice(call, user),
      },
      {
        ...send,
        name: 'upload',
        path: '/rest/2.0/pcs/file',
        method: 'upload',
        query: 'path! ondup!',
        handle: (call, user) => this.#single(call, user),
      },
    ];
  }

  #precreate(form: URLSearchParams, user: User): Fields {
    const path = form.get('path') ?? '';
    checkNewPath(this.#world, path, 31062);
    if (form.get('isdir') !== '0' || form.get('autoinit') !== '1') {
      this.#world.refuse(2, 'precreate wants isdir=0 and autoinit=1');
    }
    const size = Number(form.get('size'));
    const blockList = this.#blockList(form.get('block_list') ?? '');
    this.#checkSize(user, { size, slices: blockList.length });
    const rtype = this.#rtype(form);
    if (!this.#world.find(user, this.#world.settings.appRoot)) throw new Refusal(31066, 'file does not exist');
    const taken = this.#world.find(user, path);
    if (taken && (rtype === '0' || (rtype === '3' && isDirectory(taken)))) throw new Refusal(-8);
    const rapid = this.#rapidHit(form, size);
    if (rapid) {
      const times = this.#localTimes(form);
      const entry = placeFile(this.#world, user, { path, rtype, content: rapid, ...times });
      return { return_type: 2, info: createdView(this.#world, entry) };
    }
    const state =
      this.#resumed(form, user, { path, size, blockList }) ??
      this.#announce(form, user, { path, size, rtype, blockList });
    const { resumeShrinks } = this.#world.settings;
    const wanted = blockList
      .map((_, index) => index)
      .filter((index) => !resumeShrinks || !this.#slicesOf(state).has(index));
    return {
      return_type: 1,
      path,
      uploadid: state.id,
      block_list: blockList.length === 1 ? [] : wanted,
    };
  }

  #announce(
    form: URLSearchParams,
    user: User,
    plan: Pick<UploadState, 'path' | 'size' | 'rtype' | 'blockList'>,
  ): UploadState {
    const state: UploadState = {
      ...plan,
      ...this.#localTimes(form),
      id: this.#world.nonce('N1-'),
      user,
      startedMs: this.#world.nowMs,
      slices: new Map(),
      commits: 0,
    };
    this.states.set(state.id, state);
    if (this.#world.settings.knownSlices) {
      for (const [index, md5] of state.blockList.entries()) {
        const slice = this.#received.get(md5);
        if (slice) state.slices.set(index, slice);
      }
    }
    return state;
  }

  /** The session that the caller goes on with; null when it starts one. */
  #resumed(
    form: URLSearchParams,
    user: User,
    plan: { readonly path: string; readonly size: number; readonly blockList: readonly string[] },
  ): UploadState | null {
    const id = form.get('uploadid');
    if (!id) return null;
    const state = this.#stateOf(id, user, plan.path);
    if (state.size !== plan.size || state.blockList.join() !== plan.blockList.join()) {
      this.#world.refuse(31355, 'precreate goes on with an uploadid of another file');
    }
    return state;
  }

  #locate(query: URLSearchParams): Fields {
    if (query.get('appid') !== '250528') this.#world.refuse(31023, 'locateupload wants the constant appid 250528');
    if (query.get('upload_version') !== '2.0') this.#world.refuse(31023, 'locateupload wants upload_version=2.0');
    const state = this.states.get(query.get('uploadid') ?? '');
    if (state?.path !== query.get('path')) throw new Refusal(31355, 'uploadid invalid', { status: 400 });
    const { urls, settings } = this.#world;
    const own = settings.uploadServers ?? [urls.pcs];
    return {
      error_code: 0,
      error_msg: '',
      host: new URL(urls.pcs).host,
      servers: own.map((server) => ({ server })),
      bak_servers: own.map((server) => ({ server })),
      quic_servers: [],
      server: own,
      bak_server: own,
      quic_server: [],
      client_ip: '127.0.0.1',
      expire: 60,
      sl: 0,
      newno: '',
      server_time: this.#world.now,
    };
  }

  #slice(call: Call, user: User): Reply {
    if (call.query.get('type') !== 'tmpfile')
      this.#world.refuse(31023, 'superfile2 wants type=tmpfile', { status: 400 });
    const state = this.#stateOf(call.query.get('uploadid') ?? '', user, call.query.get('path') ?? '');
    const bytes = this.#sentBytes(call);
    const index = Number(call.query.get('partseq'));
    if (index >= state.blockList.length) this.#world.refuse(31299, 'Invalid param part_id', { status: 400 });
    const isLast = index === state.blockList.length - 1;
    if (bytes.length > SLICE_BYTES_MAX[user.vipType]) {
      this.#world.refuse(31364, `slice ${index} is above the cap of the membership`, { status: 400 });
    }
    if (!isLast && bytes.length < FIRST_SLICE_BYTES) {
      this.#world.refuse(31299, `slice ${index} is below 4 MiB and not the last`, { status: 400 });
    }
    this.#slicesOf(state);
    const slice = this.#world.contents.slice(bytes);
    state.slices.set(index, slice);
    this.#received.set(slice.md5, slice);
    this.slicesReceived += 1;
    const { gzipLabel } = this.#world.settings;
    const labelled =
      gzipLabel === 'always' || (gzipLabel === 'unless-identity' && call.headers['accept-encoding'] !== 'identity');
    return new Reply(
      200,
      { 'content-type': 'application/json', ...(labelled && { 'content-encoding': 'gzip' }) },
      `{"md5":"${slice.md5}","request_id":${this.#world.requestId()}}`,
    );
  }

  #commit(form: URLSearchParams, user: User): Fields {
    const path = form.get('path') ?? '';
    checkNewPath(this.#world, path, 31062);
    if (!form.has('size') || !form.has('block_list')) this.#world.refuse(2, 'create lacks size or block_list');
    const blockList = this.#blockList(form.get('block_list') ?? '');
    const rtype = this.#rtype(form);
    const uploadId = form.get('uploadid');
    const size = Number(form.get('size'));
    if (!uploadId) return this.#rapidCommit(form, user, { path, rtype, size, blockList });
    const state = this.#stateOf(uploadId, user, path);
    if (rtype !== state.rtype) this.#world.refuse(2, 'create and precreate differ in rtype');
    const slices = blockList.map((_, index) => this.#slicesOf(state).get(index));
    const stored = slices.filter((slice) => slice !== undefined);
    if (state.slices.size < state.blockList.length) throw new Refusal(31363, 'block miss in superfile2');
    const matches =
      blockList.length === state.blockList.length &&
      stored.every((slice, index) => slice.md5 === blockList[index]) &&
      size === state.size &&
      stored.reduce((sum, slice) => sum + slice.size, 0) === size &&
      stored.slice(0, -1).every((slice) => slice.size === stored[0]?.size);
    if (!matches) throw new Refusal(31190, 'file does not exist');
    this.#checkSpace(user, size);
    const content = this.#world.contents.join(stored);
    const entry = placeFile(this.#world, user, { path, rtype, content, ...this.#localTimes(form) });
    state.commits += 1;
    return createdView(this.#world, entry);
  }

  /** `create` with the MD5 of the whole file in place of an upload. */
  #rapidCommit(
    form: URLSearchParams,
    user: User,
    plan: Pick<UploadState, 'path' | 'rtype' | 'size' | 'blockList'>,
  ): Fields {
    const hash = plan.blockList.length === 1 ? plan.blockList[0] : undefined;
    const content = hash === undefined ? null : this.#world.contents.findWhole(plan.size, hash);
    if (!content || !this.#world.settings.rapidUploads) throw new Refusal(31190, 'file does not exist');
    const entry = placeFile(this.#world, user, {
      path: plan.path,
      rtype: plan.rtype,
      content,
      ...this.#localTimes(form),
    });
    return createdView(this.#world, entry);
  }

  #createDirectory(form: URLSearchParams, user: User): Fields {
    const path = form.get('path') ?? '';
    checkNewPath(this.#world, path, -7);
    if (form.has('block_list') || form.has('uploadid'))
      this.#world.refuse(2, 'a directory has neither slices nor an uploadid');
    const rtype = form.get('rtype');
    const entry = placeDirectory(this.#world, user, { path, rtype, ...this.#localTimes(form) });
    return createdView(this.#world, entry);
  }

  #single(call: Call, user: User): Fields {
    const path = call.query.get('path') ?? '';
    checkNewPath(this.#world, path, 31062);
    const ondup = call.query.get('ondup');
    const rtype = { fail: '0', newcopy: '1', overwrite: '3' }[ondup ?? ''];
    if (rtype === undefined) return this.#world.refuse(31023, `ondup=${ondup} does not exist`, { status: 400 });
    const bytes = this.#sentBytes(call);
    this.#checkSpace(user, bytes.length);
    if (rtype === '0' && this.#world.find(user, path)) throw new Refusal(31061, 'file already exists', { status: 400 });
    const content = this.#world.contents.join([this.#world.contents.slice(bytes)]);
    const now = this.#world.now;
    const entry = placeFile(this.#world, user, { path, rtype, content, localCtime: now, localMtime: now });
    return {
      path: pathOf(entry),
      size: bytes.length,
      ctime: now,
      mtime: now,
      md5: cloudMd5(entry),
      fs_id: this.#world.id(entry.fsId),
    };
  }

  #stateOf(id: string, user: User, path: string): UploadState {
    const state = this.states.get(id);
    if (!state || state.user !== user) throw new Refusal(31355, 'uploadid invalid or expired', { status: 200 });
    if (state.path !== path) this.#world.refuse(31355, 'the path differs from that of precreate');
    return state;
  }

  #slicesOf(state: UploadState): Map<number, StoredSlice> {
    if (this.#world.nowMs - state.startedMs >= SLICES_MS) state.slices.clear();
    return state.slices;
  }

  #sentBytes(call: Call): Buffer {
    const refuse = (text: string) => this.#world.refuse(31023, text, { status: 400 });
    if (call.headers['content-length'] === undefined) refuse('a slice comes without Content-Length');
    if (call.verb === 'PUT') return call.body;
    const part = filePart(call.headers['content-type'] ?? '', call.body);
    return typeof part === 'string' ? refuse(part) : part;
  }

  #blockList(text: string): string[] {
    const list = parseArray(text);
    const md5s = list?.filter((item) => typeof item === 'string' && /^[0-9a-f]{32}$/.test(item)) as
      | string[]
      | undefined;
    if (list?.length === 0) this.#world.refuse(2, 'block_list must not be empty');
    if (!md5s || md5s.length !== list?.length)
      return this.#world.refuse(2, 'block_list is not a list of lowercase MD5s');
    return md5s;
  }

  #checkSize(user: User, { size, slices }: { readonly size: number; readonly slices: number }): void {
    if (size === 0 && this.#world.settings.emptyFiles === 'refused') throw new Refusal(2, 'size must not be 0');
    if (size > FILE_BYTES_MAX[user.vipType]) throw new Refusal(31365, 'file is too large for the account level');
    if (slices > this.#world.settings.slicesMax) this.#world.refuse(2, 'block_list has too many slices');
    if (slices < Math.max(1, Math.ceil(size / SLICE_BYTES_MAX[user.vipType]))) {
      this.#world.refuse(31364, 'block_list has too few slices for the membership');
    }
    if (slices > Math.max(1, Math.ceil(size / FIRST_SLICE_BYTES))) {
      this.#world.refuse(31299, 'block_list has slices below 4 MiB');
    }
    this.#checkSpace(user, size);
  }

  #checkSpace(user: User, size: number): void {
    if (this.#world.usedBytes(user) + size > user.totalBytes) throw new Refusal(-10, 'no space left');
  }

  #rtype(form: URLSearchParams): string {
    const rtype = form.get('rtype') ?? '0';
    return /^[0-3]$/.test(rtype) ? rtype : this.#world.refuse(2, `rtype=${rtype} does not exist`);
  }

  #localTimes(form: URLSearchParams): { readonly localCtime: number; readonly localMtime: number } {
    const time = (name: string) => Number(form.get(name) ?? this.#world.now);
    return { localCtime: time('local_ctime'), localMtime: time('local_mtime') };
  }

  #rapidHit(form: URLSearchParams, size: number): Content | null {
    const [md5, headMd5] = [form.get('content-md5'), form.get('slice-md5')];
    for (const hash of [md5, headMd5]) {
      if (hash !== null && !/^[0-9a-f]{32}$/.test(hash)) this.#world.refuse(2, 'a hash is not lowercase hexadecimal');
    }
    if (md5 === null || headMd5 === null || size <= RAPID_BYTES_MIN || !this.#world.settings.rapidUploads) return null;
    return this.#world.contents.find({ size, md5, headMd5 });
  }
}
