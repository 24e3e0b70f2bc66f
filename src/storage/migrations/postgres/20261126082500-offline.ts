import { Migration } from '@mikro-orm/migrations';

export class Offline extends Migration {
  override up(): void {
    this.addSql(
      `create table "offline_follows" ("account_id" varchar(36) not null, "poll_at" timestamptz null, "interval_ms" int not null, "watched_until" timestamptz null, "lease_owner" varchar(36) null, "lease_until" timestamptz null, primary key ("account_id"));`,
    );
    this.addSql(`create index "offline_follows_poll_at_index" on "offline_follows" ("poll_at");`);

    this.addSql(
      `create table "offline_tasks" ("id" varchar(36) not null, "account_id" varchar(36) not null, "user_id" varchar(36) null, "ref" varchar(512) not null, "sealed_url" text null, "name" text not null, "state" varchar(16) not null, "progress" int not null, "size_bytes" bigint null, "entry_ref" text null, "parent_ref" text null, "failure" jsonb null, "added_at" timestamptz not null, "updated_at" timestamptz not null, "checked_at" timestamptz not null, primary key ("id"));`,
    );
    this.addSql(`create index "offline_tasks_updated_at_index" on "offline_tasks" ("updated_at");`);
    this.addSql(
      `create index "offline_tasks_account_id_user_id_id_index" on "offline_tasks" ("account_id", "user_id", "id");`,
    );
    this.addSql(`create index "offline_tasks_account_id_state_index" on "offline_tasks" ("account_id", "state");`);
    this.addSql(
      `alter table "offline_tasks" add constraint "offline_tasks_account_id_ref_unique" unique ("account_id", "ref");`,
    );
  }

  override down(): void {
    this.addSql('drop table if exists "offline_follows" cascade;');
    this.addSql('drop table if exists "offline_tasks" cascade;');
  }
}
