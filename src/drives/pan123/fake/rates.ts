import type { Grant } from './auth.ts';

/** The developer notice: requests a second, free and member. */
const PUBLISHED: Readonly<Record<string, readonly [free: number, member: number]>> = {
  '/api/v1/user/info': [10, 10],
  '/api/v1/file/move': [3, 10],
  '/api/v1/file/delete': [1, 10],
  '/api/v1/file/list': [0.2, 10],
  '/api/v2/file/list': [5, 10],
  '/upload/v1/file/mkdir': [5, 20],
  '/api/v1/access_token': [8, 10],
  '/api/v1/transcode/folder/info': [20, 20],
  '/api/v1/transcode/upload/from_cloud_disk': [1, 1],
  '/api/v1/transcode/delete': [10, 10],
  '/api/v1/transcode/video/resolutions': [1, 1],
  '/api/v1/transcode/video': [3, 3],
  '/api/v1/transcode/video/record': [20, 20],
  '/api/v1/transcode/video/result': [20, 20],
  '/api/v1/transcode/file/download': [10, 10],
  '/api/v1/transcode/m3u8_ts/download': [20, 20],
  '/api/v1/transcode/file/download/all': [1, 1],
};

/** Of tokens of third-party applications, counted by uid. */
const APPLICATION: Readonly<Record<string, number>> = {
  '/upload/v1/file/create': 5,
  '/upload/v1/file/get_upload_url': 20,
  '/upload/v1/file/list_upload_parts': 20,
  '/upload/v1/file/mkdir': 5,
  '/upload/v1/file/upload_async_result': 5,
  '/upload/v1/file/upload_complete': 20,
  '/api/v1/file/delete': 1,
  '/api/v1/access_token': 8,
  '/api/v1/file/list': 1,
  '/api/v1/file/trash': 5,
  '/api/v1/file/move': 10,
  '/api/v1/user/info': 10,
  '/api/v2/file/list': 15,
  '/api/v1/video/transcode/list': 1,
  '/api/v1/file/infos': 10,
  '/api/v1/file/download_info': 5,
};

/** Counts what comes in by whom and by path, in any stretch of a second (of five, for a fifth of one a second). */
export class RateGates {
  readonly #nowMs: () => number;
  readonly #seen = new Map<string, number[]>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Counts the call; false when it is one too many. One that is refused counts as well. */
  take(path: string, grant: Grant | null, key: string): boolean {
    const qps = this.#qps(path, grant);
    if (qps === null) return true;
    const [max, windowMs] = qps >= 1 ? [qps, 1000] : [1, 1000 / qps];
    const now = this.#nowMs();
    const gate = `${key} ${path}`;
    const seen = (this.#seen.get(gate) ?? []).filter((at) => at > now - windowMs);
    this.#seen.set(gate, [...seen, now]);
    return seen.length < max;
  }

  #qps(path: string, grant: Grant | null): number | null {
    if (grant?.kind === 'oauth') return APPLICATION[path] ?? null;
    const [free, member] = PUBLISHED[path] ?? [];
    return (grant?.user.vip ? member : free) ?? null;
  }
}
