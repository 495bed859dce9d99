//! Settings files that build on each other.

use std::path::Path;

use toml::{Table, Value};

use crate::error::{Error, Result};

/// Bases that may follow each other.
const MAX_BASES: usize = 8;

/// The table of a file over that of its base.
pub(super) fn merged(path: &Path, depth: usize) -> Result<Table> {
    let fail = |reason: String| Error::Config(format!("{}: {reason}", path.display()));
    if depth > MAX_BASES {
        return Err(fail(format!("more than {MAX_BASES} bases in a row: do they form a circle?")));
    }
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    let mut table: Table = text.parse().map_err(|error| fail(format!("{error}")))?;
    match table.remove("base") {
        None => Ok(table),
        Some(Value::String(base)) => {
            let mut whole = merged(&path.with_file_name(base), depth + 1)?;
            overlay(&mut whole, table);
            Ok(whole)
        }
        Some(other) => Err(fail(format!("base = {other}: must be the path of a config in quotes"))),
    }
}

/// Puts every value of `over` into `table`, section by section.
fn overlay(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(section)), Value::Table(values)) => overlay(section, values),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}
