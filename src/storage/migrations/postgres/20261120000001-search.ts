import { Migration } from '@mikro-orm/migrations';

/**
 * Search of names by trigrams, which finds any part of a name. `pg_trgm` comes with PostgreSQL and may be created by the
 * database's owner. The names stand in a table of their own, because the ORM would drop an index that it does not know.
 *
 * Names are also sorted by code point, as SQLite does: the system's collation differs between machines, and may change
 * under an index.
 */
export class Search extends Migration {
  override up(): void {
    this.addSql('create extension if not exists pg_trgm');
    this.addSql('alter table local_entries alter column name_key type varchar(255) collate "C"');
    this.addSql(`create table local_entries_fts (
      entry_id varchar(36) primary key references local_entries (id) on delete cascade,
      name_key varchar(255) not null)`);
    this.addSql('create index local_entries_fts_names on local_entries_fts using gin (name_key gin_trgm_ops)');
    this.addSql(`create function local_entries_fts_write() returns trigger language plpgsql as $$ begin
      insert into local_entries_fts (entry_id, name_key) values (new.id, new.name_key)
        on conflict (entry_id) do update set name_key = excluded.name_key;
      return null;
    end $$`);
    this.addSql(`create trigger local_entries_fts_insert after insert on local_entries
      for each row execute function local_entries_fts_write()`);
    this.addSql(`create trigger local_entries_fts_update after update of name_key on local_entries
      for each row when (old.name_key is distinct from new.name_key) execute function local_entries_fts_write()`);
  }

  override down(): void {
    this.addSql('drop trigger local_entries_fts_update on local_entries');
    this.addSql('drop trigger local_entries_fts_insert on local_entries');
    this.addSql('drop function local_entries_fts_write()');
    this.addSql('drop table local_entries_fts');
    this.addSql('alter table local_entries alter column name_key type varchar(255) collate "default"');
  }
}
