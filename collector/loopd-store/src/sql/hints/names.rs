//! Which tables stand behind a view, and what the plans of SQLite call them.
//!
//! A plan names tables by their aliases inside of views. They are read from the views' own text, so that
//! a later schema needs no list here.

use rusqlite::{Connection, Result};

/// The tables behind each view, under the names that plans call them by.
#[derive(Clone, Debug, Default)]
pub(in crate::sql) struct Names(pub(super) Vec<Name>);

/// One table behind a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) view: String,
    pub(super) table: String,
    pub(super) alias: String,
}

impl Names {
    /// Reads them from the views of this database.
    pub(in crate::sql) fn read(connection: &Connection) -> Result<Self> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'view'";
        let mut statement = connection.prepare(sql)?;
        let views = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut names = Vec::new();
        for view in views {
            let (view, sql): (String, String) = view?;
            names.extend(tables_of(&view, &sql));
        }
        Ok(Self(names))
    }

    pub(super) fn has_view(&self, view: &str) -> bool {
        self.0.iter().any(|name| name.view == view)
    }
}

impl Name {
    /// Whether a plan may call it so. Plans that only count use the table's own name.
    pub(super) fn is_called(&self, alias: &str) -> bool {
        self.alias == alias || self.table == alias
    }
}

/// What stands behind FROM, JOIN and the commas between tables in the text of a view.
fn tables_of(view: &str, sql: &str) -> Vec<Name> {
    let code: String = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join(" ");
    let code = code.replace(',', " , ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = code.split_whitespace().collect();
    let is_name = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic());
    let ends_table = |word: &str| {
        let ends = ["ON", "USING", "WHERE", "JOIN", "LEFT", "INDEXED", "ORDER", "GROUP", "UNION"];
        !is_name(word) || ends.iter().any(|end| word.eq_ignore_ascii_case(end))
    };
    let mut names = Vec::new();
    let mut is_from_list = false;
    for (i, word) in words.iter().enumerate() {
        let is_from = ["FROM", "JOIN"].iter().any(|from| word.eq_ignore_ascii_case(from));
        is_from_list = is_from || (is_from_list && !word.eq_ignore_ascii_case("WHERE"));
        let Some(&table) = words.get(i + 1).filter(|word| is_name(word)) else { continue };
        let is_before_table = is_from || (is_from_list && *word == ",");
        if !is_before_table {
            continue;
        }
        let after = words.get(i + 2).filter(|word| !word.eq_ignore_ascii_case("AS"));
        let after = after.or(words.get(i + 3)).filter(|word| !ends_table(word));
        names.push(Name {
            view: view.to_owned(),
            table: table.to_owned(),
            alias: (*after.unwrap_or(&table)).to_owned(),
        });
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_under_the_names_that_plans_use() {
        let sql = "CREATE VIEW v AS SELECT a, (SELECT max(b) FROM inner i WHERE x = y) -- FROM no
            FROM task t JOIN process AS p ON p.id = t.process, json_each(t.x) f
            LEFT JOIN name n ON n.a = f.b, last WHERE a = 1";
        let names = tables_of("v", sql);
        let found: Vec<_> =
            names.iter().map(|name| format!("{} {}", name.table, name.alias)).collect();
        assert_eq!(
            found,
            ["inner i", "task t", "process p", "json_each json_each", "name n", "last last"]
        );
    }
}
