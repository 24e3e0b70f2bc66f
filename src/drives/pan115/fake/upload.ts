import { createHash } from 'node:crypto';
import type { Call, Endpoint, Success } from './wire.ts';
import { Refusal } from './wire.ts';
import type { Content, Entry, User, World } from './world.ts';
import { attach, isFolder } from './world.ts';

/** Above this a known file is asked about before it is given. */
const CHALLENGED_BYTES = 1024 * 1024;
const HEAD_BYTES = 128 * 1024;
const BUCKET = 'fhnfile';
export const OSS_HOST = 'oss-cn-shenzhen.aliyuncs.com';

/** A file that was announced, and whose bytes are wanted. */
export interface UploadTask {
  /** It has become a file, and can no longer be gone on with. */
  isMade: boolean;
  readonly user: User;
  readonly pickCode: string;
  readonly name: string;
  readonly size: number;
  readonly sha1: string;
  readonly preid: string | null;
  readonly parentId: string;
  readonly bucket: string;
  readonly object: string;
  readonly callback: string;
  readonly callbackVar: string;
}

interface Challenge {
  readonly content: Content | null;
  readonly start: number;
  readonly end: number;
  readonly about: string;
}

export interface Sts {
  readonly id: string;
  readonly secret: string;
  readonly token: string;
  readonly user: User;
  expiresAtMs: number;
}

/** Announcements of files, and credentials for the storage. */
export class Uploads {
  readonly tasks: UploadTask[] = [];
  readonly credentials: Sts[] = [];
  readonly #world: World;
  readonly #challenges = new Map<string, Challenge>();

  constructor(world: World) {
    this.#world = world;
  }

  endpoints(): Endpoint[] {
    const api = { role: 'api', auth: 'token' } as const;
    return [
      {
        ...api,
        name: 'init',
        verbs: ['POST'],
        path: '/open/upload/init',
        form: 'file_name! file_size:int! target! fileid:sha1! preid:sha1 pick_code topupload:int sign_key sign_val:sha1 path',
        handle: (call, user) => this.#init(call, user),
      },
      {
        ...api,
        name: 'resume',
        verbs: ['POST'],
        path: '/open/upload/resume',
        form: 'file_size:int! target! fileid:sha1! pick_code!',
        handle: (call, user) => this.#resume(call, user),
      },
      {
        ...api,
        name: 'get_token',
        verbs: ['GET'],
        path: '/open/upload/get_token',
        handle: (_call, user) => this.#token(user),
      },
    ];
  }

  /** All credentials run out now. */
  expireCredentials(): void {
    for (const sts of this.credentials) sts.expiresAtMs = 0;
  }

  #folder(user: User, target: string): Entry & { readonly children: Entry[] } {
    const [, id] = /^U_1_(\d+)$/.exec(target) ?? [];
    if (id === undefined) this.#world.refuse(402, `${target} is no target of an upload`);
    const folder = this.#world.entry(user, id);
    if (!folder || !isFolder(folder)) throw new Refusal(10014, '目标目录不存在');
    return folder;
  }

  #init({ form }: Call, user: User): Success {
    const world = this.#world;
    const { settings } = world;
    const get = (name: string): string => form.get(name) ?? '';
    const [name, size, sha1] = [get('file_name'), Number(get('file_size')), get('fileid')];
    const folder = this.#folder(user, get('target'));
    if (world.usedBytes(user) + size > user.totalBytes) throw new Refusal(91006, '空间不足');
    const isEmpty = size === 0 && settings.emptyKnown;
    const known = isEmpty ? world.keep([]) : settings.instant ? (world.contents.get(`${sha1} ${size}`) ?? null) : null;
    const head = known ? headOf(known) : null;
    if (head !== null && form.has('preid') && get('preid') !== head) world.violate('preid is not that of the file');

    const about = [name, size, sha1, get('target'), get('preid')].join(' ');
    const answered = form.has('sign_key') ? this.#answered(get('sign_key'), get('sign_val'), about) : null;
    if (answered === 'wrong') return this.#challenge(known, size, about, { status: 8, code: 702 });
    const isAsked =
      settings.challenges === 'all' ? size > 0 : settings.challenges === 'known' && known && size >= CHALLENGED_BYTES;
    if (isAsked && answered !== 'right') return this.#challenge(known, size, about, { status: 7, code: 701 });
    if (known) {
      const made = world.newEntry(name, known);
      attach(made, folder);
      return answerOf({ status: 2, pick_code: made.pickCode, file_id: made.id, target: get('target') });
    }
    return this.#wanted({ user, name, size, sha1, preid: form.get('preid'), parentId: folder.id }, get('target'));
  }

  /** Other bytes each time. Of what is not known here, whatever answer has the right form counts. */
  #challenge(
    content: Content | null,
    size: number,
    about: string,
    { status, code }: { readonly status: number; readonly code: number },
  ): Success {
    const start = Math.floor(this.#world.random() * size);
    const end = Math.min(size - 1, start + Math.floor(this.#world.random() * 65_536));
    const key = this.#world.nonce('key');
    this.#challenges.set(key, { content, start, end, about });
    return answerOf({ status, code, sign_key: key, sign_check: `${start}-${end}` });
  }

  #answered(key: string, value: string, about: string): 'right' | 'wrong' {
    const challenge = this.#challenges.get(key);
    this.#challenges.delete(key);
    if (!challenge) return 'wrong';
    if (challenge.about !== about) this.#world.violate('the file was described otherwise when the proof was given');
    if (!challenge.content) return 'right';
    const bytes = Buffer.concat(challenge.content.chunks).subarray(challenge.start, challenge.end + 1);
    return createHash('sha1').update(bytes).digest('hex').toUpperCase() === value ? 'right' : 'wrong';
  }

  #wanted(file: Pick<UploadTask, 'user' | 'name' | 'size' | 'sha1' | 'preid' | 'parentId'>, target: string): Success {
    const world = this.#world;
    const pickCode = createHash('md5').update(world.nonce('task')).digest('hex').slice(0, 24);
    const object = `${file.sha1.slice(0, 3)}/${pickCode}_${world.serial()}`;
    const words = this.#words(file.user, pickCode, target);
    const task: UploadTask = { ...file, isMade: false, pickCode, bucket: BUCKET, object, ...words };
    this.tasks.push(task);
    return answerOf({ status: 1, pick_code: pickCode, target, ...placeOf(task) });
  }

  /** With spaces and an order that no other writer of JSON has: they are to be sent as they are. */
  #words(user: User, pickCode: string, target: string) {
    const callback = `{ "callbackUrl": "http://uplb.115.com/3.0/callback",  "callbackBody":"bucket=\${bucket}&object=\${object}&size=\${size}&sha1=\${sha1}&pick_code=\${x:pick_code}&n=${this.#world.serial()}" }`;
    const callbackVar = `{"x:user_id":"${user.id}", "x:pick_code":"${pickCode}","x:target":"${target}","x:source":"open"}`;
    return { callback, callbackVar };
  }

  #resume({ form }: Call, user: User): Success {
    const index = this.tasks.findIndex((one) => one.user === user && one.pickCode === form.get('pick_code'));
    const task = this.tasks[index];
    if (!task) throw new Refusal(402, '参数错误');
    if (task.isMade) throw new Refusal(50003, '提取码不存在');
    const isSame = form.get('target') === `U_1_${task.parentId}` && form.get('fileid') === task.sha1;
    if (!isSame || Number(form.get('file_size')) !== task.size) this.#world.violate('an upload was resumed as another');
    // The words are new; those from before count no more.
    const renewed = { ...task, ...this.#words(user, task.pickCode, `U_1_${task.parentId}`) };
    this.tasks[index] = renewed;
    return { data: { pick_code: task.pickCode, target: form.get('target'), version: '1', ...placeOf(renewed) } };
  }

  #token(user: User): Success {
    const world = this.#world;
    const sts: Sts = {
      id: world.nonce('STS.'),
      secret: world.nonce('secret'),
      token: world.nonce('token'),
      user,
      expiresAtMs: world.nowMs + world.settings.stsMs,
    };
    this.credentials.push(sts);
    return {
      data: {
        endpoint: `http://${OSS_HOST}`,
        [world.settings.stsMisspelt ? 'AccessKeySecrett' : 'AccessKeySecret']: sts.secret,
        SecurityToken: sts.token,
        Expiration: new Date(sts.expiresAtMs).toISOString(),
        AccessKeyId: sts.id,
      },
    };
  }
}

const placeOf = ({ bucket, object, callback, callbackVar }: UploadTask) => ({
  bucket,
  object,
  callback: { callback, callback_var: callbackVar },
});

const answerOf = (fields: Readonly<Record<string, unknown>>): Success => ({
  data: {
    code: 0,
    pick_code: '',
    file_id: '',
    sign_key: '',
    sign_check: '',
    target: '',
    bucket: '',
    object: '',
    callback: [],
    ...fields,
  },
});

/** Of the first 128 KiB. */
export const headOf = ({ chunks }: Content): string =>
  createHash('sha1').update(Buffer.concat(chunks).subarray(0, HEAD_BYTES)).digest('hex').toUpperCase();
