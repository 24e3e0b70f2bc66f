import { Migration } from '@mikro-orm/migrations';

export class Snapshots extends Migration {
  override up(): void {
    this.addSql(
      `create table \`computed_changes\` (\`sequence\` integer not null primary key autoincrement, \`account_id\` text not null, \`kind\` text not null, \`entry_ref\` text not null, \`entry_kind\` text not null, \`path\` text null, \`at\` datetime not null);`,
    );
    this.addSql(
      `create index \`computed_changes_account_id_sequence_index\` on \`computed_changes\` (\`account_id\`, \`sequence\`);`,
    );
    this.addSql(
      `create table \`snapshots\` (\`account_id\` text not null primary key, \`version\` integer not null, \`taken_at\` datetime null, \`next_at\` datetime not null, \`reading_until\` datetime null, \`entries\` blob null, \`forgotten_through\` bigint not null default '0');`,
    );
  }

  override down(): void {
    this.addSql('drop table if exists `computed_changes`;');
    this.addSql('drop table if exists `snapshots`;');
  }
}
