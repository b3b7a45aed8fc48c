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
        Ok(Self(with_inner(names)))
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

/// The tables of views in views count as the outer view's own: plans name nothing else.
fn with_inner(names: Vec<Name>) -> Vec<Name> {
    let mut all = names.clone();
    let mut at = 0;
    while let Some(outer) = all.get(at).cloned() {
        let inner = names.iter().filter(|name| name.view == outer.table);
        let inner = inner.map(|name| Name { view: outer.view.clone(), ..name.clone() });
        let new: Vec<Name> = inner.filter(|name| !all.contains(name)).collect();
        all.extend(new);
        at += 1;
    }
    all
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

    #[test]
    fn a_view_in_a_view_hands_its_tables_on() {
        let names = [
            tables_of("outer", "SELECT 1 FROM inner t JOIN process p"),
            tables_of("inner", "SELECT 1 FROM task UNION ALL SELECT 1 FROM records"),
            tables_of("circle", "SELECT 1 FROM circle"),
        ];
        let found = with_inner(names.concat());
        let outer = found.iter().filter(|name| name.view == "outer");
        let outer: Vec<&str> = outer.map(|name| name.table.as_str()).collect();
        assert_eq!(outer, ["inner", "process", "task", "records"]);
    }
}
