import { Migration } from '@mikro-orm/migrations';

const COLUMNS = [
  'route_reason text null',
  'verification text null',
  'source_account_id text null',
  'priority integer not null default 0',
  'tree_id text null',
  'item_path text null',
  'listing json null',
  'items_total integer null',
  'items_succeeded integer null',
  'items_failed integer null',
];

/** Folders are copied between drives as trees of transfers, and accounts have slots. */
export class TransferTrees extends Migration {
  override up(): void {
    for (const index of ['claimable', 'of_user', 'of_user_by_state']) this.addSql(`drop index transfers_${index}`);
    for (const column of COLUMNS) this.addSql(`alter table transfers add column ${column}`);
    this.addSql('create index transfers_claimable on transfers (state, priority, run_after, id)');
    this.addSql('create index transfers_of_user on transfers (user_id, tree_id, id)');
    this.addSql('create index transfers_of_user_by_state on transfers (user_id, tree_id, state, id)');
    this.addSql('create index transfers_of_tree on transfers (tree_id, state, id)');
  }

  override down(): void {
    for (const index of ['claimable', 'of_user', 'of_user_by_state', 'of_tree']) {
      this.addSql(`drop index transfers_${index}`);
    }
    for (const column of COLUMNS) this.addSql(`alter table transfers drop column ${column.split(' ')[0]}`);
    this.addSql('create index transfers_claimable on transfers (state, run_after, id)');
    this.addSql('create index transfers_of_user on transfers (user_id, id)');
    this.addSql('create index transfers_of_user_by_state on transfers (user_id, state, id)');
  }
}
