import { copyOf, isWritable, parseArray } from './manage.ts';
import { checkOpen } from './recycling.ts';
import { isBusy, pollTask, startTask } from './tasks.ts';
import type { Entry } from './tree.ts';
import { attach, below, freeName, isDirectory, isWellFormed, isWithin, pathOf } from './tree.ts';
import { fileView, sorted } from './views.ts';
import type { Call, Endpoint, Fields } from './wire.ts';
import { Refusal } from './wire.ts';
import type { User, World } from './world.ts';

const DAY_SECONDS = 86_400;
const PAGE_MAX = 100;
/** Files in one transfer, by membership of the receiver. */
const TRANSFER_FILES_MAX = [500, 3000, 50_000] as const;

export interface Share {
  readonly id: number;
  readonly shortUrl: string;
  readonly owner: User;
  readonly entries: readonly Entry[];
  readonly password: string;
  readonly period: number;
  readonly remark: string;
  readonly createdAt: number;
  /** What `verify` gives for the right password. */
  readonly pass: string;
  cancelled: boolean;
}

/** The paid share service, and what the web page does with own shares. */
export class Shares {
  readonly all: Share[] = [];
  readonly #world: World;
  readonly #appId: string;

  constructor(world: World, appId: string) {
    this.#world = world;
    this.#appId = appId;
  }

  endpoints(): Endpoint[] {
    return [...this.#paid(), ...this.#web()];
  }

  #paid(): Endpoint[] {
    const call = (
      name: string,
      params: { readonly query?: string; readonly form?: string },
      handle: (call: Call, user: User) => Fields,
    ): Endpoint => ({
      role: 'pan',
      auth: 'token',
      envelope: 'show_msg',
      requestId: 'text',
      verbs: [name === 'taskquery' ? 'GET' : 'POST'],
      name: `share-${name}`,
      path: `/apaas/1.0/share/${name}`,
      query: `appid! product! ${params.query ?? ''}`,
      ...(params.form !== undefined && { form: params.form }),
      handle: (received, user) => {
        this.#checkGrant(received, user);
        return { show_msg: '', data: handle(received, user) };
      },
    });
    const byLink = { query: 'short_url!' };
    return [
      call('set', { form: 'fsid_list! period:int! pwd! remark ticket' }, (c, user) => this.#create(c.form, user)),
      call('verify', { ...byLink, form: 'pwd!' }, (c) => this.#verify(c)),
      call('info', { ...byLink, form: 'spwd!' }, (c) => this.#info(c)),
      call('list', { ...byLink, form: 'spwd! dir page:int page_size:int order_by desc_order:flag' }, (c) =>
        this.#list(c),
      ),
      call('transfer', { ...byLink, form: 'fsid_list! to_path! spwd! async:int! ondup' }, (c, user) =>
        this.#transfer(c, user),
      ),
      call('taskquery', { query: 'task_id!' }, (c, user) => this.#task(c, user)),
    ];
  }

  #checkGrant(call: Call, user: User): void {
    if (!user.options.shareGrant || call.query.get('appid') !== this.#appId) throw new Refusal(13998, 'invalid app');
    if (call.query.get('product') !== 'netdisk') this.#world.refuse(2, 'the share service wants product=netdisk');
  }

  #create(form: URLSearchParams, user: User): Fields {
    const ids = this.#ids(form);
    const period = Number(form.get('period'));
    const password = form.get('pwd') ?? '';
    // For ever is documented for the old call only.
    if (period < 1) this.#world.refuse(2, 'period counts days from 1');
    if (!/^[0-9a-z]{4}$/.test(password)) this.#world.refuse(2, 'pwd is not four digits and lowercase letters');
    const entries = [...below(user.root)].filter((entry) => ids.includes(entry.fsId));
    if (entries.length < ids.length) throw new Refusal(-3, 'file does not exist');
    const share: Share = {
      id: 13_821_000_000 + this.#world.serial(),
      shortUrl: this.#world.nonce('s'),
      owner: user,
      entries,
      password,
      period,
      remark: form.get('remark') ?? '',
      createdAt: this.#world.now,
      pass: this.#world.nonce('p+'),
      cancelled: false,
    };
    this.all.push(share);
    return {
      link: linkOf(share),
      short_url: share.shortUrl,
      share_id: share.id,
      period,
      pwd: password,
      remark: share.remark,
    };
  }

  #verify(call: Call): Fields {
    const share = this.#open(call);
    if (call.form.get('pwd') !== share.password) throw new Refusal(-12, 'wrong password');
    return { spwd: share.pass };
  }

  #info(call: Call): Fields {
    const share = this.#entered(call);
    return {
      link_info: {
        short_url: share.shortUrl,
        share_id: share.id,
        share_uk: this.#world.id(share.owner.uk),
        remark: share.remark,
        vdt_limit: 0,
        period: share.period,
        ctime: share.createdAt,
        mtime: share.createdAt,
        appid: Number(this.#appId),
        link: linkOf(share),
        status: this.#status(share),
        pwd: share.password,
        extra: '',
        file_cnt: share.entries.length,
        pwd_pass: 1,
      },
      share_user_info: { uname: share.owner.options.baiduName ?? 'a***b', avatar_url: '' },
    };
  }

  #list(call: Call): Fields {
    const { form } = call;
    const share = this.#entered(call);
    const page = Number(form.get('page') ?? 1);
    const size = Number(form.get('page_size') ?? PAGE_MAX);
    if (page < 1 || size < 1 || size > PAGE_MAX) this.#world.refuse(2, `page_size is outside 1 to ${PAGE_MAX}`);
    const directory = form.get('dir') ?? '';
    const found = directory === '' ? share.entries : this.#shared(share, directory);
    const order = form.get('order_by') ?? 'name';
    if (order !== 'name' && order !== 'time' && order !== 'size')
      return this.#world.refuse(2, 'order_by does not exist');
    const all = sorted(found, order, form.get('desc_order') === '1');
    const list = all.slice((page - 1) * size, page * size).map((entry) => {
      const { fs_id: fsid, ...view } = fileView(this.#world, entry);
      return { fsid, ...view };
    });
    return { count: all.length, list };
  }

  #shared(share: Share, path: string): readonly Entry[] {
    const directory = this.#world.find(share.owner, path);
    const isInside = share.entries.some((entry) => isWithin(path, pathOf(entry)));
    if (!directory?.children || !isInside) throw new Refusal(-9, 'file does not exist');
    return [...directory.children.values()];
  }

  #transfer(call: Call, user: User): Fields {
    const { form } = call;
    const share = this.#entered(call);
    const ids = this.#ids(form);
    const ondup = form.get('ondup') ?? 'fail';
    if (form.get('async') !== '2') this.#world.refuse(2, 'transfer wants async=2');
    if (ondup !== 'fail' && ondup !== 'newcopy') this.#world.refuse(2, `ondup=${ondup} does not go with transfer`);
    if (share.owner === user) throw new Refusal(12, 'the share is your own');
    if (isBusy(this.#world, user)) throw new Refusal(111, 'another task is running');
    const inShare = share.entries.flatMap((entry) => [entry, ...below(entry)]);
    const chosen = inShare.filter((entry) => ids.includes(entry.fsId));
    if (chosen.length < ids.length) throw new Refusal(-9, 'file does not exist');
    const files = new Set(chosen.flatMap((entry) => [entry, ...below(entry)]).filter((entry) => !isDirectory(entry)));
    if (files.size > TRANSFER_FILES_MAX[user.vipType]) throw new Refusal(255, 'too many files');
    const to = form.get('to_path') ?? '';
    if (!isWellFormed(to)) this.#world.refuse(2, `the path ${to} is malformed`);
    if (!isWritable(this.#world, to)) throw new Refusal(20020, 'path is outside of the app directory');
    const target = this.#world.find(user, to);
    if (!target || !isDirectory(target)) throw new Refusal(-9, 'file does not exist');
    const task = startTask(this.#world, user, 'share', () => this.#receive(chosen, { target, ondup }));
    return { task_id: task.id, tkbind_errno: 0 };
  }

  #receive(chosen: readonly Entry[], { target, ondup }: { readonly target: Entry; readonly ondup: string }) {
    const taken = (name: string) => target.children?.has(name) ?? false;
    if (ondup === 'fail' && chosen.some((entry) => taken(entry.name))) return { errno: 10, list: [] };
    const list = chosen.map((entry): Fields => {
      const copy = copyOf(this.#world, entry);
      attach(copy, target, taken(entry.name) ? freeName(target, entry.name) : entry.name);
      return { from: pathOf(entry), to: pathOf(copy), to_fs_id: this.#world.id(copy.fsId) };
    });
    return { errno: 0, list };
  }

  #task(call: Call, user: User): Fields {
    const task = user.tasks.get(call.query.get('task_id') ?? '');
    if (task?.kind !== 'share') throw new Refusal(114, 'task does not exist');
    const { status, progress = 0 } = pollTask(this.#world, task);
    const list = task.outcome?.list ?? [];
    return {
      task_id: task.id,
      progress: task.outcome ? 100 : progress,
      // This service says `fail` where the task of files says `failed`.
      status: status === 'failed' ? 'fail' : status,
      desc: {
        succNum: list.length,
        num_limit: TRANSFER_FILES_MAX[user.vipType],
        errno: task.outcome?.errno ?? 0,
        list,
      },
    };
  }

  #web(): Endpoint[] {
    const web = { role: 'pan', auth: 'token', envelope: 'errno', requestId: 'number' } as const;
    const paging = 'page:int num:int order desc:flag web:flag clienttype:int';
    return [
      {
        ...web,
        verbs: ['GET'],
        name: 'share-record',
        path: '/share/record',
        query: paging,
        handle: (call, user) => this.#record(call, user),
      },
      {
        ...web,
        verbs: ['GET'],
        name: 'share-record',
        path: '/rest/2.0/xpan/share',
        method: 'record',
        query: paging,
        handle: (call, user) => this.#record(call, user),
      },
      {
        ...web,
        verbs: ['POST'],
        name: 'share-cancel',
        path: '/share/cancel',
        query: 'web:flag clienttype:int app_id',
        form: 'shareid_list!',
        handle: (call, user) => this.#cancel(call, user),
      },
      {
        ...web,
        verbs: ['POST'],
        name: 'old-share-set',
        path: '/rest/2.0/xpan/share',
        method: 'set',
        query: '',
        form: '*',
        // Being withdrawn: most applications get a parameter error.
        handle: () => this.#world.refuse(2, 'the old share call was used'),
      },
    ];
  }

  #record(call: Call, user: User): Fields {
    checkOpen(this.#world, call);
    const page = Number(call.query.get('page') ?? 1);
    const num = Number(call.query.get('num') ?? PAGE_MAX);
    const mine = this.all.filter((share) => share.owner === user && !share.cancelled);
    const shown = mine.slice((page - 1) * num, page * num).map((share) => ({
      shareId: share.id,
      fsIds: share.entries.map((entry) => this.#world.id(entry.fsId)),
      shortlink: linkOf(share),
      shorturl: share.shortUrl,
      passwd: '',
      status: this.#status(share),
      expiredType: share.period,
      expiredTime: share.createdAt + share.period * DAY_SECONDS,
      ctime: share.createdAt,
      vCnt: 0,
      dCnt: 0,
      tCnt: 0,
      public: 0,
      typicalCategory: 6,
      typicalPath: share.entries[0] ? pathOf(share.entries[0]) : '',
    }));
    const nextpage = mine.length > page * num ? page + 1 : 0;
    // An empty list arrives as an object.
    return { count: mine.length, nextpage, list: shown.length > 0 ? shown : {} };
  }

  #cancel(call: Call, user: User): Fields {
    checkOpen(this.#world, call);
    const ids = parseArray(call.form.get('shareid_list') ?? '');
    if (!ids) return this.#world.refuse(2, 'shareid_list is not a JSON array');
    for (const share of this.all)
      if (share.owner === user && ids.map(Number).includes(share.id)) share.cancelled = true;
    return {};
  }

  /** The share of a link, while it lives. A leading `1` of a web link belongs stripped. */
  #open(call: Call): Share {
    const share = this.all.find(({ shortUrl }) => shortUrl === call.query.get('short_url'));
    if (!share) throw new Refusal(2131, 'share does not exist');
    if (share.cancelled || this.#status(share) !== 0) throw new Refusal(-21, 'share is cancelled or invalid');
    return share;
  }

  #entered(call: Call): Share {
    const share = this.#open(call);
    if (call.form.get('spwd') !== share.pass) throw new Refusal(13003, 'share pass is wrong');
    return share;
  }

  #status(share: Share): 0 | 1 {
    return share.createdAt + share.period * DAY_SECONDS <= this.#world.now ? 1 : 0;
  }

  /** Strings here, where `filemetas` wants numbers. */
  #ids(form: URLSearchParams): string[] {
    const list = parseArray(form.get('fsid_list') ?? '') ?? [];
    const ids = list.filter((id): id is string => typeof id === 'string' && /^\d+$/.test(id));
    if (ids.length === 0 || ids.length < list.length) this.#world.refuse(2, 'fsid_list is not a JSON array of strings');
    return ids;
  }
}

const linkOf = (share: Share): string => `https://pan.baidu.com/netdisk/share?surl=${share.shortUrl}`;
