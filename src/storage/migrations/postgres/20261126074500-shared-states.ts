import { Migration } from '@mikro-orm/migrations';

export class SharedStates extends Migration {
  override up(): void {
    this.addSql(
      'create table "shared_states" ("key" varchar(255) not null, "value" text not null, "expires_at" timestamptz not null, primary key ("key"));',
    );
  }

  override down(): void {
    this.addSql('drop table if exists "shared_states" cascade;');
  }
}
