import { z } from 'zod';
import { sleep } from '../../lib/timer.ts';
import type { Shares } from '../contract/shares.ts';
import type { CallContext, DriveEntry } from '../driver.ts';
import { type BaiduClient, invalid } from './client.ts';
import { inRoot, taken } from './editing.ts';
import { baiduError } from './errors.ts';
import { oneTask } from './manager.ts';
import { FILE, folderOf, listOf, nameOf, type WireFile } from './wire.ts';

/** Entries of a share on one page, and pages that are looked through: 50,000 files is the most that anybody may save. */
const PAGE = 100;
const PAGES_MAX = 500;
/** Waits between looks at the task, the last one repeated, in milliseconds. */
const POLLS_MS = [1_000, 2_000, 5_000];
/** Looks at one task: about eight minutes, within what the act may take. */
const POLLS_MAX = 100;

const OWN_HOSTS = /(^|\.)(pan|yun)\.baidu\.com$/;

const VERIFIED = z.object({ data: z.object({ spwd: z.string().min(1) }) });
const SHARED = z.object({
  data: z.object({
    list: listOf(
      z
        .object({ fsid: z.string() })
        .loose()
        .transform(({ fsid, ...rest }) => ({ ...rest, fs_id: fsid }))
        .pipe(FILE),
    ),
  }),
});
const STARTED = z.object({ data: z.object({ task_id: z.union([z.string(), z.number()]).transform(String) }) });
const TASK = z.object({
  data: z.object({
    status: z.string(),
    desc: z
      .object({
        list: z
          .array(z.object({ to: z.string().optional(), to_fs_id: z.string().optional() }))
          .catch([])
          .default([]),
      })
      // Before there is something to tell, it may be an empty list.
      .optional()
      .catch(undefined),
  }),
});

/** Takes over what another account shared: asked for by its password, then saved by a task of Baidu's. */
export const createShareSaving = (baidu: BaiduClient, appId: string): Required<Pick<Shares, 'save'>> => ({
  async save(url, password, parentRef, call) {
    const link = linkIn(url, baidu.settings.panUrl);
    const pwd = password ?? link.password;
    if (pwd === null) throw invalid('saves shares by their password only, and this link has none.');
    const dir = await baidu.folderPath(parentRef, call);
    const ask = asker(baidu, { appid: appId, product: 'netdisk', short_url: link.shortUrl }, call);
    const { spwd } = (await ask(VERIFIED, 'verify', { pwd }, true)).data;

    const shared: WireFile[] = [];
    for (let page = 1; page <= PAGES_MAX; page += 1) {
      const { list } = (await ask(SHARED, 'list', { spwd, dir: '', page, page_size: PAGE }, true)).data;
      shared.push(...list);
      if (list.length < PAGE) break;
    }
    if (shared.length === 0) throw baiduError('not_found', 'has nothing in this share.', null, {});
    // The task would fail as a whole, and not say why.
    const names = new Set(shared.map(({ path }) => nameOf(path)));
    for await (const file of baidu.children(dir, call)) if (names.has(nameOf(file.path))) throw taken(file.fs_id);

    const form = {
      fsid_list: JSON.stringify(shared.map(({ fs_id }) => fs_id)),
      to_path: dir,
      spwd,
      async: 2,
      ondup: 'fail',
    };
    const saved = await oneTask(baidu, call, async () => {
      const { task_id } = (await inRoot(baidu, dir, call, () => ask(STARTED, 'transfer', form, false))).data;
      return finished(baidu, { appid: appId, product: 'netdisk', task_id }, call);
    });
    return entriesOf(baidu, { saved, names, dir, parentRef }, call);
  },
});

function asker(baidu: BaiduClient, query: Record<string, string>, call: CallContext) {
  return <Schema extends z.ZodType>(
    schema: Schema,
    name: string,
    form: Record<string, string | number>,
    idempotent: boolean,
  ): Promise<z.infer<Schema>> =>
    baidu.post(schema, `share.${name}`, { url: `/apaas/1.0/share/${name}`, query, form, idempotent }, call);
}

type Saved = readonly { readonly to?: string | undefined; readonly to_fs_id?: string | undefined }[];

/** This service says `fail` where the tasks of files say `failed`, and does not say why. */
async function finished(baidu: BaiduClient, query: Record<string, string>, call: CallContext): Promise<Saved> {
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    await sleep(baidu.timer, POLLS_MS[polls] ?? POLLS_MS.at(-1) ?? 0, call.signal);
    const { data } = await baidu.get(TASK, 'share.taskquery', '/apaas/1.0/share/taskquery', query, call);
    if (data.status === 'success') return data.desc?.list ?? [];
    if (data.status === 'fail' || data.status === 'failed') {
      throw baiduError('unavailable', 'could not save this share, and does not say why.', null, {}).spent();
    }
  }
  throw baiduError('timeout', 'is still saving this share. Look at the folder later.', null, {}).spent();
}

/** What stands in the folder now: by the ids that the task told, else by the names of what was shared. */
async function entriesOf(
  baidu: BaiduClient,
  { saved, names, dir, parentRef }: { saved: Saved; names: ReadonlySet<string>; dir: string; parentRef: string },
  call: CallContext,
): Promise<readonly DriveEntry[]> {
  const refs = saved.flatMap(({ to, to_fs_id }) => (to && to_fs_id && folderOf(to) === dir ? [to_fs_id] : []));
  const files: WireFile[] = refs.length > 0 ? [...(await baidu.metas(refs, call)).values()] : [];
  if (files.length === 0) {
    for await (const file of baidu.children(dir, call)) if (names.has(nameOf(file.path))) files.push(file);
  }
  return files.map((file) => baidu.toEntry(file, parentRef));
}

/** `/s/1…` with the mark of the web page, or `?surl=…` without it. */
function linkIn(text: string, panUrl: string): { readonly shortUrl: string; readonly password: string | null } {
  const url = URL.parse(text);
  const isOwn = url && (OWN_HOSTS.test(url.hostname) || url.origin === new URL(panUrl).origin);
  const inPath = /^\/s\/1([\w-]+)\/?$/.exec(url?.pathname ?? '')?.[1];
  const shortUrl = inPath ?? url?.searchParams.get('surl');
  if (!isOwn || !shortUrl)
    throw invalid('has no share at this address.', 'A link looks like https://pan.baidu.com/s/…');
  return { shortUrl, password: url.searchParams.get('pwd') };
}
