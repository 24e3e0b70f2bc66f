import { Migration } from '@mikro-orm/migrations';

/** How many bytes came in, and how many went out, is told beside each other. */
export class TransferBytes extends Migration {
  override up(): void {
    for (const column of ['bytes_received', 'bytes_sent']) {
      this.addSql(`alter table transfers add column ${column} bigint not null default '0'`);
    }
    this.addSql(
      `update transfers set bytes_received = coalesce(bytes_total, 0), bytes_sent = coalesce(bytes_total, 0)
       where state = 'SUCCEEDED' and route in ('SLICED', 'STREAMED') and listing is null`,
    );
    for (const column of ['bytes_received', 'bytes_sent']) {
      this.addSql(
        `update transfers set ${column} = (select coalesce(sum(item.${column}), 0) from transfers item
         where item.tree_id = transfers.id and item.state = 'SUCCEEDED') where items_total is not null`,
      );
    }
  }

  override down(): void {
    for (const column of ['bytes_received', 'bytes_sent']) {
      this.addSql(`alter table transfers drop column ${column}`);
    }
  }
}
