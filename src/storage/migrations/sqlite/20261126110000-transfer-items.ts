import { Migration } from '@mikro-orm/migrations';

/** Items of a tree may be cancelled one by one. */
export class TransferItems extends Migration {
  override up(): void {
    this.addSql('alter table transfers add column items_cancelled integer null');
    this.addSql('update transfers set items_cancelled = 0 where items_total is not null');
  }

  override down(): void {
    this.addSql('alter table transfers drop column items_cancelled');
  }
}
