import { Migration } from '@mikro-orm/migrations';

/** A name is kept before it is asked for; tries are counted since the last one that got on. */
export class TransferClaims extends Migration {
  override up(): void {
    this.addSql(`alter table \`transfers\` add column \`claimed_name\` text null;`);
    this.addSql(`alter table \`transfers\` add column \`attempts_stuck\` integer not null default 0;`);
    this.addSql(`create index \`transfers_claims\` on \`transfers\` (\`account_id\`, \`claimed_name\`);`);
  }

  override down(): void {
    this.addSql(`drop index \`transfers_claims\`;`);
    this.addSql(`alter table \`transfers\` drop column \`claimed_name\`;`);
    this.addSql(`alter table \`transfers\` drop column \`attempts_stuck\`;`);
  }
}
