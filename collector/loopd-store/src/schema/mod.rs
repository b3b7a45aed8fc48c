//! The views that users may query, described column by column.

pub(crate) mod migrations;
mod views;

/// Everything a query may name.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The views.
    pub views: &'static [SchemaView],
    /// The functions that loopd adds to SQLite's.
    pub functions: &'static [SchemaFunction],
}

/// One view.
#[derive(Clone, Copy, Debug)]
pub struct SchemaView {
    /// Its name.
    pub name: &'static str,
    /// What one row is.
    pub about: &'static str,
    /// Its columns, in order.
    pub columns: &'static [SchemaColumn],
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct SchemaColumn {
    /// Its name.
    pub name: &'static str,
    /// `integer`, `real`, `text` or `blob`.
    pub kind: &'static str,
    /// Meaning, unit, and when it is NULL.
    pub about: &'static str,
}

/// One function.
#[derive(Clone, Copy, Debug)]
pub struct SchemaFunction {
    /// How it is called.
    pub signature: &'static str,
    /// What it gives.
    pub about: &'static str,
}

/// Everything a query may name.
pub const fn schema() -> Schema {
    Schema { views: views::VIEWS, functions: views::FUNCTIONS }
}
