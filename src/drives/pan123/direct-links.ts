import { z } from 'zod';
import type { Driver } from '../driver.ts';
import { idOf, type Pan123Client } from './client.ts';
import { pan123Error } from './errors.ts';
import { isFolder, ROOT_REF } from './wire.ts';

const LINK = z.object({ url: z.string().nullish() });

/** Links that anybody can follow, from any place: their traffic is an allowance of its own, which is bought. */
export const createDirectLinks = (pan123: Pan123Client) =>
  ({
    async link(ref, call) {
      idOf(ref);
      if (ref === ROOT_REF || isFolder(await pan123.file(ref, call))) {
        throw pan123Error('wrong_kind', 'gives links to files only.', null, {});
      }
      const { url } = await pan123.get(LINK, '/api/v1/direct-link/url', { fileID: ref }, call);
      if (url) return { url, headers: {}, expiresAt: null };
      throw pan123Error('permission_denied', 'gives no direct link to this file.', null, {
        hint: 'Enable the direct-link space of a folder above it at 123pan.',
      });
    },
  }) satisfies Partial<Driver>;
