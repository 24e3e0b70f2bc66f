import { Migration } from '@mikro-orm/migrations';

export class Offline extends Migration {
  override up(): void {
    this.addSql(
      `create table \`offline_follows\` (\`account_id\` text not null primary key, \`poll_at\` datetime null, \`interval_ms\` integer not null, \`watched_until\` datetime null, \`lease_owner\` text null, \`lease_until\` datetime null);`,
    );
    this.addSql(`create index \`offline_follows_poll_at_index\` on \`offline_follows\` (\`poll_at\`);`);

    this.addSql(
      `create table \`offline_tasks\` (\`id\` text not null primary key, \`account_id\` text not null, \`user_id\` text null, \`ref\` text not null, \`sealed_url\` text null, \`name\` text not null, \`state\` text not null, \`progress\` integer not null, \`size_bytes\` bigint null, \`entry_ref\` text null, \`parent_ref\` text null, \`failure\` json null, \`added_at\` datetime not null, \`updated_at\` datetime not null, \`checked_at\` datetime not null);`,
    );
    this.addSql(`create index \`offline_tasks_updated_at_index\` on \`offline_tasks\` (\`updated_at\`);`);
    this.addSql(
      `create index \`offline_tasks_account_id_user_id_id_index\` on \`offline_tasks\` (\`account_id\`, \`user_id\`, \`id\`);`,
    );
    this.addSql(
      `create index \`offline_tasks_account_id_state_index\` on \`offline_tasks\` (\`account_id\`, \`state\`);`,
    );
    this.addSql(
      `create unique index \`offline_tasks_account_id_ref_unique\` on \`offline_tasks\` (\`account_id\`, \`ref\`);`,
    );
  }

  override down(): void {
    this.addSql('drop table if exists offline_follows;');
    this.addSql('drop table if exists offline_tasks;');
  }
}
