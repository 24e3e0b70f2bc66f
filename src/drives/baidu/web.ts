import type { QueryValues } from '../../transport/request.ts';

/** What Baidu's own page says with each of its calls; without it they are refused. */
export const WEB_HEADERS = { referer: 'https://pan.baidu.com/' } as const;
export const WEB_QUERY: QueryValues = { clienttype: 0, web: 1 };
/** The page's own application, not the operator's. */
export const WEB_APP = { app_id: '250528' } as const;
