import { Migration } from '@mikro-orm/migrations';

export class Initial extends Migration {
  override up(): void | Promise<void> {
    this.addSql(
      `create table "accounts" ("id" varchar(36) not null, "owner_id" varchar(36) not null, "provider" varchar(16) not null, "label" varchar(128) not null, "shared" boolean not null default false, "status" varchar(32) not null, "provider_user_id" varchar(128) null, "settings" jsonb not null, "sealed_credentials" text null, "credentials_expire_at" timestamptz null, "credentials_refreshed_at" timestamptz null, "refresh_owner" varchar(64) null, "refresh_until" timestamptz null, "refresh_sends" int not null default 0, "created_at" timestamptz not null, "updated_at" timestamptz not null, primary key ("id"));`,
    );
    this.addSql(`create index "accounts_owner_id_created_at_id_index" on "accounts" ("owner_id", "created_at", "id");`);

    this.addSql(
      `create table "api_keys" ("id" varchar(36) not null, "user_id" varchar(36) not null, "name" varchar(128) not null, "prefix" varchar(16) not null, "hash" varchar(64) not null, "scopes" jsonb not null, "created_at" timestamptz not null, "expires_at" timestamptz null, "last_used_at" timestamptz null, "revoked_at" timestamptz null, primary key ("id"));`,
    );
    this.addSql(`create index "api_keys_user_id_index" on "api_keys" ("user_id");`);
    this.addSql(`alter table "api_keys" add constraint "api_keys_hash_unique" unique ("hash");`);

    this.addSql(
      `create table "audit_records" ("sequence" bigserial primary key, "at" timestamptz not null, "user_id" varchar(36) null, "action" varchar(64) not null, "account_id" varchar(36) null, "detail" jsonb not null);`,
    );
    this.addSql(`create index "audit_records_at_index" on "audit_records" ("at");`);
    this.addSql(`create index "audit_records_user_id_index" on "audit_records" ("user_id");`);

    this.addSql(
      `create table "blobs" ("sha256" varchar(64) not null, "size_bytes" bigint not null, "reference_count" int not null, "md5" varchar(32) null, "sha1" varchar(40) null, "crc32" varchar(8) null, "created_at" timestamptz not null, "unreferenced_at" timestamptz null, primary key ("sha256"));`,
    );
    this.addSql(`create index "blobs_unreferenced_at_index" on "blobs" ("unreferenced_at");`);

    this.addSql(
      `create table "device_links" ("id" varchar(36) not null, "user_id" varchar(36) not null, "provider" varchar(16) not null, "label" varchar(128) null, "shared" boolean not null, "state" varchar(16) not null, "user_code" varchar(64) null, "verification_url" text not null, "qr_content" text not null, "sealed_state" text null, "interval_ms" int not null, "poll_at" timestamptz not null, "expires_at" timestamptz not null, "account_id" varchar(36) null, "created_at" timestamptz not null, primary key ("id"));`,
    );
    this.addSql(`create index "device_links_user_id_index" on "device_links" ("user_id");`);
    this.addSql(`create index "device_links_expires_at_index" on "device_links" ("expires_at");`);
    this.addSql(`create index "device_links_due" on "device_links" ("state", "poll_at");`);

    this.addSql(
      `create table "direct_links" ("id" varchar(36) not null, "user_id" varchar(36) not null, "account_id" varchar(36) not null, "ref" text not null, "key_hash" varchar(255) null, "charged_day" varchar(10) null, "created_at" timestamptz not null, "expires_at" timestamptz not null, "revoked_at" timestamptz null, primary key ("id"));`,
    );
    this.addSql(`create index "direct_links_expires_at_index" on "direct_links" ("expires_at");`);
    this.addSql(`create index "direct_links_user_id_id_index" on "direct_links" ("user_id", "id");`);

    this.addSql(
      `create table "download_counts" ("user_id" varchar(36) not null, "day" varchar(10) not null, "used" int not null, primary key ("user_id", "day"));`,
    );

    this.addSql(
      `create table "download_tickets" ("id" varchar(36) not null, "token_hash" varchar(64) not null, "user_id" varchar(36) not null, "grant_id" varchar(36) not null, "account_id" varchar(36) not null, "ref" text not null, "attachment" boolean not null, "created_at" timestamptz not null, "expires_at" timestamptz not null, primary key ("id"));`,
    );
    this.addSql(
      `alter table "download_tickets" add constraint "download_tickets_token_hash_unique" unique ("token_hash");`,
    );
    this.addSql(`create index "download_tickets_user_id_index" on "download_tickets" ("user_id");`);
    this.addSql(`create index "download_tickets_grant_id_index" on "download_tickets" ("grant_id");`);
    this.addSql(`create index "download_tickets_expires_at_index" on "download_tickets" ("expires_at");`);

    this.addSql(
      `create table "idempotency_records" ("user_id" varchar(36) not null, "key" varchar(255) not null, "operation" varchar(64) not null, "input_hash" varchar(64) not null, "answer" jsonb null, "pending_until" timestamptz null, "created_at" timestamptz not null, primary key ("user_id", "key"));`,
    );
    this.addSql(`create index "idempotency_records_created_at_index" on "idempotency_records" ("created_at");`);

    this.addSql(
      `create table "invitations" ("id" varchar(36) not null, "code_hash" varchar(64) not null, "created_by" varchar(36) not null, "created_at" timestamptz not null, "expires_at" timestamptz not null, "used_by" varchar(36) null, "used_at" timestamptz null, primary key ("id"));`,
    );
    this.addSql(`alter table "invitations" add constraint "invitations_code_hash_unique" unique ("code_hash");`);

    this.addSql(
      `create table "local_changes" ("sequence" bigserial primary key, "account_id" varchar(36) not null, "kind" varchar(16) not null, "entry_id" varchar(36) not null, "entry_kind" varchar(8) not null, "parent_id" varchar(36) null, "path" text null, "at" timestamptz not null);`,
    );
    this.addSql(
      `create index "local_changes_account_id_sequence_index" on "local_changes" ("account_id", "sequence");`,
    );

    this.addSql(
      `create table "local_entries" ("id" varchar(36) not null, "account_id" varchar(36) not null, "parent_id" varchar(36) null, "kind" varchar(8) not null, "name" varchar(255) not null, "name_key" varchar(255) not null, "size_bytes" bigint not null default '0', "blob_hash" varchar(64) null, "mime_type" varchar(128) null, "category" varchar(16) null, "revision" int not null default 1, "created_at" timestamptz not null, "modified_at" timestamptz not null, "hidden_by" varchar(36) null, "trashed_at" timestamptz null, "reap_after" timestamptz null, primary key ("id"));`,
    );
    this.addSql(
      `create index "local_entries_by_name" on "local_entries" ("parent_id", "kind", "name_key", "id") where hidden_by is null;`,
    );
    this.addSql(
      `create index "local_entries_by_size" on "local_entries" ("parent_id", "kind", "size_bytes", "id") where hidden_by is null;`,
    );
    this.addSql(
      `create index "local_entries_by_time" on "local_entries" ("parent_id", "kind", "modified_at", "id") where hidden_by is null;`,
    );
    this.addSql(
      `create index "local_entries_by_account" on "local_entries" ("account_id", "id") where hidden_by is null;`,
    );
    this.addSql(
      `create index "local_entries_by_category" on "local_entries" ("account_id", "category", "id") where hidden_by is null;`,
    );
    this.addSql(`create index "local_entries_by_blob" on "local_entries" ("blob_hash", "account_id");`);
    this.addSql(
      `create index "local_entries_usage" on "local_entries" ("account_id", "category", "hidden_by", "size_bytes");`,
    );
    this.addSql(
      `create index "local_entries_hidden" on "local_entries" ("hidden_by", "id") where hidden_by is not null;`,
    );
    this.addSql(
      `create index "local_entries_bin" on "local_entries" ("account_id", "trashed_at", "id") where trashed_at is not null;`,
    );
    this.addSql(
      `create index "local_entries_to_reap" on "local_entries" ("account_id", "reap_after") where reap_after is not null;`,
    );
    this.addSql(
      `create unique index "local_entries_siblings" on "local_entries" ("parent_id", "name_key") where hidden_by is null;`,
    );

    this.addSql(
      `create table "password_resets" ("id" varchar(36) not null, "user_id" varchar(36) not null, "token_hash" varchar(64) not null, "created_at" timestamptz not null, "expires_at" timestamptz not null, "used_at" timestamptz null, primary key ("id"));`,
    );
    this.addSql(`create index "password_resets_user_id_index" on "password_resets" ("user_id");`);
    this.addSql(
      `alter table "password_resets" add constraint "password_resets_token_hash_unique" unique ("token_hash");`,
    );

    this.addSql(
      `create table "pending_authorizations" ("state_hash" varchar(64) not null, "user_id" varchar(36) not null, "provider" varchar(16) not null, "label" varchar(128) null, "shared" boolean not null, "redirect_uri" text not null, "sealed_verifier" text not null, "created_at" timestamptz not null, "expires_at" timestamptz not null, primary key ("state_hash"));`,
    );
    this.addSql(`create index "pending_authorizations_expires_at_index" on "pending_authorizations" ("expires_at");`);

    this.addSql(
      `create table "sessions" ("id" varchar(36) not null, "user_id" varchar(36) not null, "family_hash" varchar(64) not null, "refresh_hash" varchar(64) not null, "previous_refresh_hash" varchar(64) null, "rotated_at" timestamptz not null, "remember" boolean not null, "user_agent" varchar(512) null, "address" varchar(64) null, "created_at" timestamptz not null, "last_used_at" timestamptz not null, "expires_at" timestamptz not null, "revoked_at" timestamptz null, primary key ("id"));`,
    );
    this.addSql(`create index "sessions_user_id_index" on "sessions" ("user_id");`);
    this.addSql(`alter table "sessions" add constraint "sessions_family_hash_unique" unique ("family_hash");`);
    this.addSql(`create index "sessions_expires_at_index" on "sessions" ("expires_at");`);

    this.addSql(
      `create table "shares" ("id" varchar(36) not null, "user_id" varchar(36) not null, "account_id" varchar(36) not null, "ref" varchar(512) not null, "url" text not null, "sealed_password" text null, "remark" text null, "entry_refs" jsonb not null, "created_at" timestamptz not null, "expires_at" timestamptz null, "cancelled_at" timestamptz null, primary key ("id"));`,
    );
    this.addSql(`create index "shares_expires_at_index" on "shares" ("expires_at");`);
    this.addSql(`create index "shares_cancelled_at_index" on "shares" ("cancelled_at");`);
    this.addSql(`create index "shares_account_id_user_id_id_index" on "shares" ("account_id", "user_id", "id");`);
    this.addSql(
      `alter table "shares" add constraint "shares_account_id_user_id_ref_unique" unique ("account_id", "user_id", "ref");`,
    );

    this.addSql(
      `create table "transfers" ("id" varchar(36) not null, "user_id" varchar(36) not null, "kind" varchar(8) not null, "state" varchar(16) not null, "phase" varchar(16) null, "route" varchar(16) null, "account_id" varchar(36) not null, "parent_ref" text not null, "name" varchar(255) not null, "on_conflict" varchar(8) not null, "source" jsonb not null, "mime_type" varchar(128) null, "expected_hashes" jsonb not null, "hash_algorithms" jsonb not null, "spool_hashes" jsonb null, "bytes_total" bigint null, "bytes_done" bigint not null default '0', "upload_token_hash" varchar(64) null, "upload_metadata" text null, "driver_session" jsonb null, "entry_ref" text null, "failure" jsonb null, "attempts" int not null default 0, "revision" int not null default 1, "run_after" timestamptz not null, "lease_owner" varchar(64) null, "lease_until" timestamptz null, "fence" int not null default 0, "expires_at" timestamptz null, "created_at" timestamptz not null, "started_at" timestamptz null, "finished_at" timestamptz null, primary key ("id"));`,
    );
    this.addSql(
      `alter table "transfers" add constraint "transfers_upload_token_hash_unique" unique ("upload_token_hash");`,
    );
    this.addSql(`create index "transfers_expires_at_index" on "transfers" ("expires_at");`);
    this.addSql(`create index "transfers_claimable" on "transfers" ("state", "run_after", "id");`);
    this.addSql(`create index "transfers_of_user" on "transfers" ("user_id", "id");`);
    this.addSql(`create index "transfers_of_user_by_state" on "transfers" ("user_id", "state", "id");`);

    this.addSql(
      `create table "transfer_events" ("user_id" varchar(36) not null, "sequence" bigint not null, "transfer_id" varchar(36) not null, "revision" int not null, "snapshot" jsonb not null, "at" timestamptz not null, primary key ("user_id", "sequence"));`,
    );
    this.addSql(`create index "transfer_events_transfer_id_index" on "transfer_events" ("transfer_id");`);
    this.addSql(`create index "transfer_events_at_index" on "transfer_events" ("at");`);

    this.addSql(
      `create table "transfer_journals" ("user_id" varchar(36) not null, "last_sequence" bigint not null, "swept_through" bigint not null default '0', primary key ("user_id"));`,
    );

    this.addSql(
      `create table "transfer_slices" ("transfer_id" varchar(36) not null, "index" int not null, "receipt" jsonb not null, primary key ("transfer_id", "index"));`,
    );

    this.addSql(
      `create table "users" ("id" varchar(36) not null, "username" varchar(64) not null, "username_key" varchar(128) not null, "display_name" varchar(128) not null, "email" varchar(320) null, "email_key" varchar(640) null, "password_hash" varchar(255) not null, "role" varchar(16) not null, "download_limit" int null, "disabled_at" timestamptz null, "created_at" timestamptz not null, primary key ("id"));`,
    );
    this.addSql(`alter table "users" add constraint "users_username_key_unique" unique ("username_key");`);
    this.addSql(`alter table "users" add constraint "users_email_key_unique" unique ("email_key");`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table if exists "accounts" cascade;`);
    this.addSql(`drop table if exists "api_keys" cascade;`);
    this.addSql(`drop table if exists "audit_records" cascade;`);
    this.addSql(`drop table if exists "blobs" cascade;`);
    this.addSql(`drop table if exists "device_links" cascade;`);
    this.addSql(`drop table if exists "direct_links" cascade;`);
    this.addSql(`drop table if exists "download_counts" cascade;`);
    this.addSql(`drop table if exists "download_tickets" cascade;`);
    this.addSql(`drop table if exists "idempotency_records" cascade;`);
    this.addSql(`drop table if exists "invitations" cascade;`);
    this.addSql(`drop table if exists "local_changes" cascade;`);
    this.addSql(`drop table if exists "local_entries" cascade;`);
    this.addSql(`drop table if exists "password_resets" cascade;`);
    this.addSql(`drop table if exists "pending_authorizations" cascade;`);
    this.addSql(`drop table if exists "sessions" cascade;`);
    this.addSql(`drop table if exists "shares" cascade;`);
    this.addSql(`drop table if exists "transfers" cascade;`);
    this.addSql(`drop table if exists "transfer_events" cascade;`);
    this.addSql(`drop table if exists "transfer_journals" cascade;`);
    this.addSql(`drop table if exists "transfer_slices" cascade;`);
    this.addSql(`drop table if exists "users" cascade;`);
  }
}
