import { Migration } from '@mikro-orm/migrations';

export class Initial extends Migration {
  override up(): void | Promise<void> {
    this.addSql(
      `create table \`accounts\` (\`id\` text not null primary key, \`owner_id\` text not null, \`provider\` text not null, \`label\` text not null, \`shared\` integer not null default false, \`status\` text not null, \`provider_user_id\` text null, \`settings\` json not null, \`sealed_credentials\` text null, \`credentials_expire_at\` datetime null, \`credentials_refreshed_at\` datetime null, \`refresh_owner\` text null, \`refresh_until\` datetime null, \`refresh_sends\` integer not null default 0, \`created_at\` datetime not null, \`updated_at\` datetime not null);`,
    );
    this.addSql(
      `create index \`accounts_owner_id_created_at_id_index\` on \`accounts\` (\`owner_id\`, \`created_at\`, \`id\`);`,
    );

    this.addSql(
      `create table \`api_keys\` (\`id\` text not null primary key, \`user_id\` text not null, \`name\` text not null, \`prefix\` text not null, \`hash\` text not null, \`scopes\` json not null, \`created_at\` datetime not null, \`expires_at\` datetime null, \`last_used_at\` datetime null, \`revoked_at\` datetime null);`,
    );
    this.addSql(`create index \`api_keys_user_id_index\` on \`api_keys\` (\`user_id\`);`);
    this.addSql(`create unique index \`api_keys_hash_unique\` on \`api_keys\` (\`hash\`);`);

    this.addSql(
      `create table \`audit_records\` (\`sequence\` integer not null primary key autoincrement, \`at\` datetime not null, \`user_id\` text null, \`action\` text not null, \`account_id\` text null, \`detail\` json not null);`,
    );
    this.addSql(`create index \`audit_records_at_index\` on \`audit_records\` (\`at\`);`);
    this.addSql(`create index \`audit_records_user_id_index\` on \`audit_records\` (\`user_id\`);`);

    this.addSql(
      `create table \`blobs\` (\`sha256\` text not null primary key, \`size_bytes\` bigint not null, \`reference_count\` integer not null, \`md5\` text null, \`sha1\` text null, \`crc32\` text null, \`created_at\` datetime not null, \`unreferenced_at\` datetime null);`,
    );
    this.addSql(`create index \`blobs_unreferenced_at_index\` on \`blobs\` (\`unreferenced_at\`);`);

    this.addSql(
      `create table \`device_links\` (\`id\` text not null primary key, \`user_id\` text not null, \`provider\` text not null, \`label\` text null, \`shared\` integer not null, \`state\` text not null, \`user_code\` text null, \`verification_url\` text not null, \`qr_content\` text not null, \`sealed_state\` text null, \`interval_ms\` integer not null, \`poll_at\` datetime not null, \`expires_at\` datetime not null, \`account_id\` text null, \`created_at\` datetime not null);`,
    );
    this.addSql(`create index \`device_links_user_id_index\` on \`device_links\` (\`user_id\`);`);
    this.addSql(`create index \`device_links_expires_at_index\` on \`device_links\` (\`expires_at\`);`);
    this.addSql(`create index \`device_links_due\` on \`device_links\` (\`state\`, \`poll_at\`);`);

    this.addSql(
      `create table \`direct_links\` (\`id\` text not null primary key, \`user_id\` text not null, \`account_id\` text not null, \`ref\` text not null, \`key_hash\` text null, \`charged_day\` text null, \`created_at\` datetime not null, \`expires_at\` datetime not null, \`revoked_at\` datetime null);`,
    );
    this.addSql(`create index \`direct_links_expires_at_index\` on \`direct_links\` (\`expires_at\`);`);
    this.addSql(`create index \`direct_links_user_id_id_index\` on \`direct_links\` (\`user_id\`, \`id\`);`);

    this.addSql(
      `create table \`download_counts\` (\`user_id\` text not null, \`day\` text not null, \`used\` integer not null, primary key (\`user_id\`, \`day\`));`,
    );

    this.addSql(
      `create table \`download_tickets\` (\`id\` text not null primary key, \`token_hash\` text not null, \`user_id\` text not null, \`grant_id\` text not null, \`account_id\` text not null, \`ref\` text not null, \`attachment\` integer not null, \`created_at\` datetime not null, \`expires_at\` datetime not null);`,
    );
    this.addSql(`create unique index \`download_tickets_token_hash_unique\` on \`download_tickets\` (\`token_hash\`);`);
    this.addSql(`create index \`download_tickets_user_id_index\` on \`download_tickets\` (\`user_id\`);`);
    this.addSql(`create index \`download_tickets_grant_id_index\` on \`download_tickets\` (\`grant_id\`);`);
    this.addSql(`create index \`download_tickets_expires_at_index\` on \`download_tickets\` (\`expires_at\`);`);

    this.addSql(
      `create table \`idempotency_records\` (\`user_id\` text not null, \`key\` text not null, \`operation\` text not null, \`input_hash\` text not null, \`answer\` json null, \`pending_until\` datetime null, \`created_at\` datetime not null, primary key (\`user_id\`, \`key\`));`,
    );
    this.addSql(`create index \`idempotency_records_created_at_index\` on \`idempotency_records\` (\`created_at\`);`);

    this.addSql(
      `create table \`invitations\` (\`id\` text not null primary key, \`code_hash\` text not null, \`created_by\` text not null, \`created_at\` datetime not null, \`expires_at\` datetime not null, \`used_by\` text null, \`used_at\` datetime null);`,
    );
    this.addSql(`create unique index \`invitations_code_hash_unique\` on \`invitations\` (\`code_hash\`);`);

    this.addSql(
      `create table \`local_changes\` (\`sequence\` integer not null primary key autoincrement, \`account_id\` text not null, \`kind\` text not null, \`entry_id\` text not null, \`entry_kind\` text not null, \`parent_id\` text null, \`path\` text null, \`at\` datetime not null);`,
    );
    this.addSql(
      `create index \`local_changes_account_id_sequence_index\` on \`local_changes\` (\`account_id\`, \`sequence\`);`,
    );

    this.addSql(
      `create table \`local_entries\` (\`id\` text not null primary key, \`account_id\` text not null, \`parent_id\` text null, \`kind\` text not null, \`name\` text not null, \`name_key\` text not null, \`size_bytes\` bigint not null default '0', \`blob_hash\` text null, \`mime_type\` text null, \`category\` text null, \`revision\` integer not null default 1, \`created_at\` datetime not null, \`modified_at\` datetime not null, \`hidden_by\` text null, \`trashed_at\` datetime null, \`reap_after\` datetime null);`,
    );
    this.addSql(
      `create index \`local_entries_by_name\` on \`local_entries\` (\`parent_id\`, \`kind\`, \`name_key\`, \`id\`) where hidden_by is null;`,
    );
    this.addSql(
      `create index \`local_entries_by_size\` on \`local_entries\` (\`parent_id\`, \`kind\`, \`size_bytes\`, \`id\`) where hidden_by is null;`,
    );
    this.addSql(
      `create index \`local_entries_by_time\` on \`local_entries\` (\`parent_id\`, \`kind\`, \`modified_at\`, \`id\`) where hidden_by is null;`,
    );
    this.addSql(
      `create index \`local_entries_by_account\` on \`local_entries\` (\`account_id\`, \`id\`) where hidden_by is null;`,
    );
    this.addSql(
      `create index \`local_entries_by_category\` on \`local_entries\` (\`account_id\`, \`category\`, \`id\`) where hidden_by is null;`,
    );
    this.addSql(`create index \`local_entries_by_blob\` on \`local_entries\` (\`blob_hash\`, \`account_id\`);`);
    this.addSql(
      `create index \`local_entries_usage\` on \`local_entries\` (\`account_id\`, \`category\`, \`hidden_by\`, \`size_bytes\`);`,
    );
    this.addSql(
      `create index \`local_entries_hidden\` on \`local_entries\` (\`hidden_by\`, \`id\`) where hidden_by is not null;`,
    );
    this.addSql(
      `create index \`local_entries_bin\` on \`local_entries\` (\`account_id\`, \`trashed_at\`, \`id\`) where trashed_at is not null;`,
    );
    this.addSql(
      `create index \`local_entries_to_reap\` on \`local_entries\` (\`account_id\`, \`reap_after\`) where reap_after is not null;`,
    );
    this.addSql(
      `create unique index \`local_entries_siblings\` on \`local_entries\` (\`parent_id\`, \`name_key\`) where hidden_by is null;`,
    );

    this.addSql(
      `create table \`password_resets\` (\`id\` text not null primary key, \`user_id\` text not null, \`token_hash\` text not null, \`created_at\` datetime not null, \`expires_at\` datetime not null, \`used_at\` datetime null);`,
    );
    this.addSql(`create index \`password_resets_user_id_index\` on \`password_resets\` (\`user_id\`);`);
    this.addSql(`create unique index \`password_resets_token_hash_unique\` on \`password_resets\` (\`token_hash\`);`);

    this.addSql(
      `create table \`pending_authorizations\` (\`state_hash\` text not null primary key, \`user_id\` text not null, \`provider\` text not null, \`label\` text null, \`shared\` integer not null, \`redirect_uri\` text not null, \`sealed_verifier\` text not null, \`created_at\` datetime not null, \`expires_at\` datetime not null);`,
    );
    this.addSql(
      `create index \`pending_authorizations_expires_at_index\` on \`pending_authorizations\` (\`expires_at\`);`,
    );

    this.addSql(
      `create table \`sessions\` (\`id\` text not null primary key, \`user_id\` text not null, \`family_hash\` text not null, \`refresh_hash\` text not null, \`previous_refresh_hash\` text null, \`rotated_at\` datetime not null, \`remember\` integer not null, \`user_agent\` text null, \`address\` text null, \`created_at\` datetime not null, \`last_used_at\` datetime not null, \`expires_at\` datetime not null, \`revoked_at\` datetime null);`,
    );
    this.addSql(`create index \`sessions_user_id_index\` on \`sessions\` (\`user_id\`);`);
    this.addSql(`create unique index \`sessions_family_hash_unique\` on \`sessions\` (\`family_hash\`);`);
    this.addSql(`create index \`sessions_expires_at_index\` on \`sessions\` (\`expires_at\`);`);

    this.addSql(
      `create table \`shares\` (\`id\` text not null primary key, \`user_id\` text not null, \`account_id\` text not null, \`ref\` text not null, \`url\` text not null, \`sealed_password\` text null, \`remark\` text null, \`entry_refs\` json not null, \`created_at\` datetime not null, \`expires_at\` datetime null, \`cancelled_at\` datetime null);`,
    );
    this.addSql(`create index \`shares_expires_at_index\` on \`shares\` (\`expires_at\`);`);
    this.addSql(`create index \`shares_cancelled_at_index\` on \`shares\` (\`cancelled_at\`);`);
    this.addSql(
      `create index \`shares_account_id_user_id_id_index\` on \`shares\` (\`account_id\`, \`user_id\`, \`id\`);`,
    );
    this.addSql(
      `create unique index \`shares_account_id_user_id_ref_unique\` on \`shares\` (\`account_id\`, \`user_id\`, \`ref\`);`,
    );

    this.addSql(
      `create table \`transfers\` (\`id\` text not null primary key, \`user_id\` text not null, \`kind\` text not null, \`state\` text not null, \`phase\` text null, \`route\` text null, \`account_id\` text not null, \`parent_ref\` text not null, \`name\` text not null, \`on_conflict\` text not null, \`source\` json not null, \`mime_type\` text null, \`expected_hashes\` json not null, \`hash_algorithms\` json not null, \`spool_hashes\` json null, \`bytes_total\` bigint null, \`bytes_done\` bigint not null default '0', \`upload_token_hash\` text null, \`upload_metadata\` text null, \`driver_session\` json null, \`entry_ref\` text null, \`failure\` json null, \`attempts\` integer not null default 0, \`revision\` integer not null default 1, \`run_after\` datetime not null, \`lease_owner\` text null, \`lease_until\` datetime null, \`fence\` integer not null default 0, \`expires_at\` datetime null, \`created_at\` datetime not null, \`started_at\` datetime null, \`finished_at\` datetime null);`,
    );
    this.addSql(`create unique index \`transfers_upload_token_hash_unique\` on \`transfers\` (\`upload_token_hash\`);`);
    this.addSql(`create index \`transfers_expires_at_index\` on \`transfers\` (\`expires_at\`);`);
    this.addSql(`create index \`transfers_claimable\` on \`transfers\` (\`state\`, \`run_after\`, \`id\`);`);
    this.addSql(`create index \`transfers_of_user\` on \`transfers\` (\`user_id\`, \`id\`);`);
    this.addSql(`create index \`transfers_of_user_by_state\` on \`transfers\` (\`user_id\`, \`state\`, \`id\`);`);

    this.addSql(
      `create table \`transfer_events\` (\`user_id\` text not null, \`sequence\` bigint not null, \`transfer_id\` text not null, \`revision\` integer not null, \`snapshot\` json not null, \`at\` datetime not null, primary key (\`user_id\`, \`sequence\`));`,
    );
    this.addSql(`create index \`transfer_events_transfer_id_index\` on \`transfer_events\` (\`transfer_id\`);`);
    this.addSql(`create index \`transfer_events_at_index\` on \`transfer_events\` (\`at\`);`);

    this.addSql(
      `create table \`transfer_journals\` (\`user_id\` text not null primary key, \`last_sequence\` bigint not null, \`swept_through\` bigint not null default '0');`,
    );

    this.addSql(
      `create table \`transfer_slices\` (\`transfer_id\` text not null, \`index\` integer not null, \`receipt\` json not null, primary key (\`transfer_id\`, \`index\`));`,
    );

    this.addSql(
      `create table \`users\` (\`id\` text not null primary key, \`username\` text not null, \`username_key\` text not null, \`display_name\` text not null, \`email\` text null, \`email_key\` text null, \`password_hash\` text not null, \`role\` text not null, \`download_limit\` integer null, \`disabled_at\` datetime null, \`created_at\` datetime not null);`,
    );
    this.addSql(`create unique index \`users_username_key_unique\` on \`users\` (\`username_key\`);`);
    this.addSql(`create unique index \`users_email_key_unique\` on \`users\` (\`email_key\`);`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table if exists \`accounts\`;`);
    this.addSql(`drop table if exists \`api_keys\`;`);
    this.addSql(`drop table if exists \`audit_records\`;`);
    this.addSql(`drop table if exists \`blobs\`;`);
    this.addSql(`drop table if exists \`device_links\`;`);
    this.addSql(`drop table if exists \`direct_links\`;`);
    this.addSql(`drop table if exists \`download_counts\`;`);
    this.addSql(`drop table if exists \`download_tickets\`;`);
    this.addSql(`drop table if exists \`idempotency_records\`;`);
    this.addSql(`drop table if exists \`invitations\`;`);
    this.addSql(`drop table if exists \`local_changes\`;`);
    this.addSql(`drop table if exists \`local_entries\`;`);
    this.addSql(`drop table if exists \`password_resets\`;`);
    this.addSql(`drop table if exists \`pending_authorizations\`;`);
    this.addSql(`drop table if exists \`sessions\`;`);
    this.addSql(`drop table if exists \`shares\`;`);
    this.addSql(`drop table if exists \`transfers\`;`);
    this.addSql(`drop table if exists \`transfer_events\`;`);
    this.addSql(`drop table if exists \`transfer_journals\`;`);
    this.addSql(`drop table if exists \`transfer_slices\`;`);
    this.addSql(`drop table if exists \`users\`;`);
  }
}
