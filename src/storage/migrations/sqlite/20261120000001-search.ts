import { Migration } from '@mikro-orm/migrations';

/**
 * Full-text search of names by trigrams, which finds any part of a name. The index keeps no text of its own; a table of
 * ids gives each entry a number, as the row id of `local_entries` may change when the database is vacuumed.
 */
export class Search extends Migration {
  override up(): void {
    this.addSql(
      'create table local_entries_fts_ids (id integer not null primary key autoincrement, entry_id text not null unique)',
    );
    this.addSql(
      `create virtual table local_entries_fts using fts5 (name_key, content = '', contentless_delete = 1, tokenize = 'trigram')`,
    );
    this.addSql(`create trigger local_entries_fts_insert after insert on local_entries begin
      insert into local_entries_fts_ids (entry_id) values (new.id);
      insert into local_entries_fts (rowid, name_key)
        values ((select id from local_entries_fts_ids where entry_id = new.id), new.name_key);
    end`);
    this.addSql(`create trigger local_entries_fts_update after update of name_key on local_entries
      when old.name_key <> new.name_key begin
      update local_entries_fts set name_key = new.name_key
        where rowid = (select id from local_entries_fts_ids where entry_id = new.id);
    end`);
    this.addSql(`create trigger local_entries_fts_delete after delete on local_entries begin
      delete from local_entries_fts where rowid = (select id from local_entries_fts_ids where entry_id = old.id);
      delete from local_entries_fts_ids where entry_id = old.id;
    end`);
  }

  override down(): void {
    for (const event of ['insert', 'update', 'delete']) this.addSql(`drop trigger local_entries_fts_${event}`);
    this.addSql('drop table local_entries_fts');
    this.addSql('drop table local_entries_fts_ids');
  }
}
