import { Migration } from '@mikro-orm/migrations';

/** Hosts may each have a spool of their own. */
export class Spools extends Migration {
  override up(): void {
    this.addSql('alter table `transfers` add column `spool_id` text null');
    this.addSql(
      'create table `spools` (`id` text not null primary key, `host` text not null, `seen_at` datetime not null)',
    );
  }

  override down(): void {
    this.addSql('drop table `spools`');
    this.addSql('alter table `transfers` drop column `spool_id`');
  }
}
