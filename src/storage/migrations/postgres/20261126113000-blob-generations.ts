import { Migration } from '@mikro-orm/migrations';

/** Blobs may lie in a store across a network, under names that are used once. */
export class BlobGenerations extends Migration {
  override up(): void {
    this.addSql('alter table "blobs" add "generation" varchar(16) null');
    this.addSql(
      'create table "blob_arrivals" ("generation" varchar(16) not null, "sha256" varchar(64) not null, "begun_at" timestamptz not null, primary key ("generation"))',
    );
    this.addSql('create index "blob_arrivals_begun_at_index" on "blob_arrivals" ("begun_at")');
  }

  override down(): void {
    this.addSql('drop table "blob_arrivals"');
    this.addSql('alter table "blobs" drop column "generation"');
  }
}
