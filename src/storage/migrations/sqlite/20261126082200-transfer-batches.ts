import { Migration } from '@mikro-orm/migrations';

/** Transfers that are asked for together, and addresses of files to fetch. */
export class TransferBatches extends Migration {
  override up(): void {
    this.addSql(
      'create table transfer_batches (id text not null primary key, user_id text not null, max_concurrent integer not null, items json null, created_at datetime not null)',
    );
    this.addSql('create index transfer_batches_user_id_index on transfer_batches (user_id)');
    this.addSql('create index transfer_batches_created_at_index on transfer_batches (created_at)');
    this.addSql('alter table transfers add column sealed_source text null');
    this.addSql('alter table transfers add column batch_id text null');
    this.addSql('create index transfers_batch_id_index on transfers (batch_id)');
  }

  override down(): void {
    this.addSql('drop index transfers_batch_id_index');
    this.addSql('alter table transfers drop column batch_id');
    this.addSql('alter table transfers drop column sealed_source');
    this.addSql('drop table transfer_batches');
  }
}
