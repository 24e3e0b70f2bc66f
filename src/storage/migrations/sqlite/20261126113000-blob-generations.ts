import { Migration } from '@mikro-orm/migrations';

/** Blobs may lie in a store across a network, under names that are used once. */
export class BlobGenerations extends Migration {
  override up(): void {
    this.addSql('alter table `blobs` add column `generation` text null');
    this.addSql(
      'create table `blob_arrivals` (`generation` text not null primary key, `sha256` text not null, `begun_at` datetime not null)',
    );
    this.addSql('create index `blob_arrivals_begun_at_index` on `blob_arrivals` (`begun_at`)');
  }

  override down(): void {
    this.addSql('drop table `blob_arrivals`');
    this.addSql('alter table `blobs` drop column `generation`');
  }
}
