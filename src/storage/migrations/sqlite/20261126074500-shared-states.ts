import { Migration } from '@mikro-orm/migrations';

export class SharedStates extends Migration {
  override up(): void {
    this.addSql(
      'create table `shared_states` (`key` text not null primary key, `value` text not null, `expires_at` datetime not null);',
    );
  }

  override down(): void {
    this.addSql('drop table if exists `shared_states`;');
  }
}
