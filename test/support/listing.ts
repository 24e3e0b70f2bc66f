import assert from 'node:assert/strict';
import type { Driver } from '../../src/drives/driver.ts';

/** The listing of a drive that has one. */
export function listing(driver: Driver): NonNullable<Driver['list']> {
  assert.ok(driver.list, 'this drive lists folders');
  return driver.list.bind(driver);
}
