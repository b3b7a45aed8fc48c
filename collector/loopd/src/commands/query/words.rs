//! What somebody has typed so far: statements, commands, and how a word may go on.

use loopd_dashboard::views::query::{SchemaTable, SchemaView};

/// What stands before the first `;`, between two of them, and so on; a `;` in quotes or
/// comments ends nothing. Also says whether something is left that no `;` ends.
pub(super) fn statements(text: &str) -> (Vec<&str>, bool) {
    let (mut found, mut begin, mut at) = (Vec::new(), 0, 0);
    while let Some(next) = text[at..].find([';', '\'', '"', '`', '-', '/']) {
        at += next;
        let rest = &text[at..];
        let length = match rest.as_bytes() {
            [b';', ..] => {
                found.push(text[begin..at].trim());
                begin = at + 1;
                Some(1)
            }
            [quote @ (b'\'' | b'"' | b'`'), ..] => {
                rest[1..].find(char::from(*quote)).map(|end| end + 2)
            }
            [b'-', b'-', ..] => rest.find('\n'),
            [b'/', b'*', ..] => rest.find("*/").map(|end| end + 2),
            _ => Some(1),
        };
        let Some(length) = length else { return (found, true) };
        at += length;
    }
    found.retain(|statement| !statement.is_empty());
    (found, !text[begin..].trim().is_empty())
}

/// Whether a line is for the prompt itself, as in psql or sqlite3.
pub(super) fn is_command(text: &str) -> bool {
    let text = text.trim().trim_end_matches(';');
    text.starts_with(['\\', '.']) || ["exit", "quit", "help"].contains(&text)
}

const COMMANDS: [&str; 9] =
    ["d", "format", "help", "limit", "mode", "quit", "schema", "tables", "timing"];
const FORMATS: [&str; 3] = ["table", "json", "csv"];

const KEYWORDS: [&str; 44] = [
    "select",
    "from",
    "where",
    "group",
    "by",
    "order",
    "limit",
    "offset",
    "having",
    "join",
    "left",
    "on",
    "using",
    "as",
    "and",
    "or",
    "not",
    "null",
    "is",
    "in",
    "like",
    "glob",
    "between",
    "exists",
    "case",
    "when",
    "then",
    "else",
    "end",
    "desc",
    "asc",
    "distinct",
    "union",
    "all",
    "with",
    "recursive",
    "materialized",
    "over",
    "partition",
    "filter",
    "cast",
    "count(",
    "sum(",
    "avg(",
];
const MORE_FUNCTIONS: [&str; 4] = ["max(", "min(", "coalesce(", "group_concat("];

/// How the word before `at` may go on: where that word begins, and whole words for its place.
pub(super) fn completions(schema: &SchemaView, whole: &str, at: usize) -> (usize, Vec<String>) {
    let text = whole.get(..at).unwrap_or(whole);
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let begin = text.trim_end_matches(is_part).len();
    let (before, word) = text.split_at(begin);
    let mut found: Vec<String> = if is_command(text) {
        command_words(schema, before)
    } else if is_quoted(before) {
        Vec::new()
    } else {
        sql_words(schema, whole, before)
    };
    let lower = word.to_lowercase();
    found.retain(|candidate| candidate.starts_with(&lower));
    found.sort();
    found.dedup();
    // Who shouts is answered in kind; names are found in any case.
    if word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase) {
        found.iter_mut().for_each(|candidate| *candidate = candidate.to_uppercase());
    }
    (begin, found)
}

fn command_words(schema: &SchemaView, before: &str) -> Vec<String> {
    let words: Vec<&str> = before.split_whitespace().collect();
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    match words.first().map(|word| word.trim_start_matches(['\\', '.'])) {
        None | Some("") => owned(&COMMANDS),
        Some("d" | "schema" | "tables") => views(schema).collect(),
        Some("format" | "mode") => owned(&FORMATS),
        Some("timing") => owned(&["on", "off"]),
        Some(_) => Vec::new(),
    }
}

fn sql_words(schema: &SchemaView, whole: &str, before: &str) -> Vec<String> {
    let named = named(schema, whole);
    // `p.` asks for the columns of what is called p.
    if let Some(owner) = before.strip_suffix('.') {
        let owner = owner.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next();
        let owner = owner.unwrap_or_default();
        let view = named.iter().find(|(alias, view)| *alias == owner || view.name == owner);
        return view.map(|(_, view)| columns(view).collect()).unwrap_or_default();
    }
    let last = before.split_whitespace().next_back().unwrap_or_default().to_lowercase();
    if ["from", "join"].contains(&last.as_str()) {
        return views(schema).collect();
    }
    let functions = schema
        .functions
        .iter()
        .filter_map(|function| function.name.split_once('(').map(|(name, _)| format!("{name}(")));
    let keywords = KEYWORDS.iter().chain(&MORE_FUNCTIONS).map(|&word| word.to_owned());
    let columns = named.iter().flat_map(|(_, view)| columns(view));
    functions.chain(keywords).chain(columns).chain(views(schema)).collect()
}

fn views(schema: &SchemaView) -> impl Iterator<Item = String> {
    schema.views.iter().map(|view| view.name.clone())
}

fn columns(view: &SchemaTable) -> impl Iterator<Item = String> {
    view.columns.iter().map(|column| column.name.clone())
}

/// The views that a statement reads, with what it calls them.
fn named<'a>(schema: &'a SchemaView, statement: &str) -> Vec<(String, &'a SchemaTable)> {
    let lower = statement.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| c.is_whitespace() || "(),;".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    let mut named = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let Some(view) = schema.views.iter().find(|view| view.name == *word) else { continue };
        let after = words[i + 1..].iter().find(|word| **word != "as");
        let alias = after.filter(|word| !KEYWORDS.contains(word)).unwrap_or(word);
        named.push(((*alias).to_owned(), view));
    }
    named
}

fn is_quoted(before: &str) -> bool {
    before.matches('\'').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> String {
        // The cursor stands at `|`; what follows it is looked at for names.
        let schema = loopd_dashboard::views::query::schema();
        let at = text.find('|').unwrap_or(text.len());
        let (begin, found) = completions(&schema, &text.replace('|', ""), at);
        format!("{begin}: {}", found.join(" "))
    }

    #[test]
    fn statements_end_where_a_semicolon_counts() {
        assert_eq!(statements("select 1;"), (vec!["select 1"], false));
        assert_eq!(statements("select 1"), (vec![], true));
        assert_eq!(statements("select ';"), (vec![], true));
        assert_eq!(statements("select ';' ;"), (vec!["select ';'"], false));
        assert_eq!(statements("a; b;\n c"), (vec!["a", "b"], true));
        assert_eq!(statements("a -- ;\n;"), (vec!["a -- ;"], false));
        assert_eq!(statements("a -- ;"), (vec![], true));
        assert_eq!(statements("a /* ; */ - 1 / 2;"), (vec!["a /* ; */ - 1 / 2"], false));
        assert_eq!(statements("a /* ;"), (vec![], true));
        assert_eq!(statements(";;  "), (vec![], false));
        assert_eq!(statements("select \"ü;\";"), (vec!["select \"ü;\""], false));
    }

    #[test]
    fn words_go_on_as_their_place_allows() {
        assert_eq!(complete("select * from po"), "14: polls");
        assert_eq!(complete("select * from polls join pro"), "25: processes");
        assert_eq!(complete("sel"), "0: select");
        assert_eq!(complete("SEL"), "0: SELECT");
        assert_eq!(complete("select dur"), "7: duration(");
        assert_eq!(complete("select location from polls where len"), "33: length");
        assert_eq!(complete("select 1 from polls p, tasks t where t.busy"), "39: busy_time");
        assert_eq!(complete("select 1 from polls as p where p.wor"), "33: worker");
        assert_eq!(complete("select del| from wakes"), "7: delay");
        assert_eq!(complete("select x.a"), "9: ");
        assert_eq!(complete("select 'from po"), "13: ");
        assert_eq!(complete("select '' from waki"), "15: ");
        assert_eq!(complete("ä from po"), "8: polls");
    }

    #[test]
    fn commands_go_on_too() {
        assert_eq!(complete("\\ti"), "1: timing");
        assert_eq!(complete(".sch"), "1: schema");
        assert_eq!(complete("\\d wak"), "3: wakes");
        assert_eq!(complete("\\format j"), "8: json");
        assert_eq!(complete("\\limit "), "7: ");
    }
}
