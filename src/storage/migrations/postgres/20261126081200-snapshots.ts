import { Migration } from '@mikro-orm/migrations';

export class Snapshots extends Migration {
  override up(): void {
    this.addSql(
      `create table "computed_changes" ("sequence" bigserial primary key, "account_id" varchar(36) not null, "kind" varchar(8) not null, "entry_ref" text not null, "entry_kind" varchar(6) not null, "path" text null, "at" timestamptz not null);`,
    );
    this.addSql(
      `create index "computed_changes_account_id_sequence_index" on "computed_changes" ("account_id", "sequence");`,
    );
    this.addSql(
      `create table "snapshots" ("account_id" varchar(36) not null, "version" int not null, "taken_at" timestamptz null, "next_at" timestamptz not null, "reading_until" timestamptz null, "entries" bytea null, "forgotten_through" bigint not null default '0', primary key ("account_id"));`,
    );
  }

  override down(): void {
    this.addSql('drop table if exists "computed_changes" cascade;');
    this.addSql('drop table if exists "snapshots" cascade;');
  }
}
