import { Migration } from '@mikro-orm/migrations';

/** Bytes that a worker fetches are continued as long as their source is the same. */
export class TransferSources extends Migration {
  override up(): void {
    this.addSql('alter table transfers add column source_version text null');
  }

  override down(): void {
    this.addSql('alter table transfers drop column source_version');
  }
}
