import { Migration } from '@mikro-orm/migrations';

/** Transfers that are asked for together, and addresses of files to fetch. */
export class TransferBatches extends Migration {
  override up(): void {
    this.addSql(
      'create table "transfer_batches" ("id" varchar(36) not null, "user_id" varchar(36) not null, "max_concurrent" int not null, "items" jsonb null, "created_at" timestamptz not null, primary key ("id"))',
    );
    this.addSql('create index "transfer_batches_user_id_index" on "transfer_batches" ("user_id")');
    this.addSql('create index "transfer_batches_created_at_index" on "transfer_batches" ("created_at")');
    this.addSql('alter table "transfers" add "sealed_source" text null, add "batch_id" varchar(36) null');
    this.addSql('create index "transfers_batch_id_index" on "transfers" ("batch_id")');
  }

  override down(): void {
    this.addSql('drop index "transfers_batch_id_index"');
    this.addSql('alter table "transfers" drop column "sealed_source", drop column "batch_id"');
    this.addSql('drop table "transfer_batches"');
  }
}
