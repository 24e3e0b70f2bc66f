import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DRIVES } from '../../src/drives/registry.ts';
import type { DriveFixture } from '../../src/drives/shared/fixture.ts';
import { abilitiesSuite } from './abilities.ts';
import { bytesSuite } from './bytes.ts';
import { deletingSuite } from './deleting.ts';
import { editingSuite } from './editing.ts';
import { faultsSuite } from './faults.ts';
import { listingSuite } from './listing.ts';
import { namesSuite } from './names.ts';
import { searchSuite } from './search.ts';
import { Subject } from './subject.ts';

/** What stands behind each drive: an imitation of its wire beside the driver, or a fixture here. */
async function fixturesOf(id: string): Promise<readonly DriveFixture[]> {
  const folder = id.toLowerCase();
  const places = [`../../src/drives/${folder}/fake.ts`, `./fixtures/${folder}.ts`];
  const found = places.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((path) => existsSync(path));
  if (!found) return [];
  const { fixtures } = (await import(pathToFileURL(found).href)) as { fixtures: readonly DriveFixture[] };
  return fixtures;
}

for (const { id } of DRIVES) {
  const fixtures = await fixturesOf(id);
  it(`the drive ${id} is tested`, () => assert.notEqual(fixtures.length, 0, `${id} has no fake.ts`));

  for (const fixture of fixtures) {
    const title = `${id} (${fixture.title})`;
    if (fixture.skip !== false) {
      describe(title, { skip: fixture.skip }, () => {});
      continue;
    }
    const open = await fixture.open();
    const subject = new Subject(open);
    describe(title, async () => {
      after(() => open.close());
      listingSuite(subject);
      namesSuite(subject);
      editingSuite(subject);
      deletingSuite(subject);
      await bytesSuite(subject);
      searchSuite(subject);
      abilitiesSuite(subject);
      faultsSuite(subject);
    });
  }
}
