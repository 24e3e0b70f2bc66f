import { Migration } from '@mikro-orm/migrations';

/** A ticket may lead to the provider's own link. */
export class DownloadRedirects extends Migration {
  override up(): void {
    this.addSql('alter table "download_tickets" add column "redirect" boolean not null default false');
  }

  override down(): void {
    this.addSql('alter table "download_tickets" drop column "redirect"');
  }
}
