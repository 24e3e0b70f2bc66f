import { Migration } from '@mikro-orm/migrations';

/** Hosts may each have a spool of their own. */
export class Spools extends Migration {
  override up(): void {
    this.addSql('alter table "transfers" add "spool_id" varchar(36) null');
    this.addSql(
      'create table "spools" ("id" varchar(36) not null, "host" varchar(64) not null, "seen_at" timestamptz not null, primary key ("id"))',
    );
  }

  override down(): void {
    this.addSql('drop table "spools"');
    this.addSql('alter table "transfers" drop column "spool_id"');
  }
}
