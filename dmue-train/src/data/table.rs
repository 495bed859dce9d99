//! CSV files with a header, read by the names of their columns.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};

/// An open CSV file of which `N` columns are wanted.
#[derive(Debug)]
pub struct Table<const N: usize> {
    reader: csv::Reader<File>,
    columns: [usize; N],
    names: [&'static str; N],
}

impl<const N: usize> Table<N> {
    /// Opens `path` and finds the columns; others may stand between them.
    ///
    /// # Errors
    /// A file that cannot be read or whose header lacks a column.
    pub fn open(path: &Path, names: [&'static str; N]) -> Result<Self> {
        let mut reader = reader(path)?;
        let header = headers(path, &mut reader)?;
        let mut columns = [0; N];
        for (column, name) in columns.iter_mut().zip(names) {
            *column = header.iter().position(|found| found == name).ok_or_else(|| {
                let (found, wanted) = (header.join(","), listed(&names));
                let reason = format!("the header is \"{found}\": must name {wanted}");
                Error::Data { file: path.into(), reason }
            })?;
        }
        Ok(Self { reader, columns, names })
    }

    /// The wanted cells of each row without surrounding blanks, or what is wrong with the row.
    pub fn rows(self) -> impl Iterator<Item = std::result::Result<[String; N], String>> {
        let Self { reader, columns, names } = self;
        reader.into_records().map(move |record| {
            let record = record.map_err(|error| error.to_string())?;
            let mut cells = [const { String::new() }; N];
            for ((cell, column), name) in cells.iter_mut().zip(columns).zip(names) {
                let found = record.get(column).ok_or_else(|| format!("{name} is missing"))?;
                found.clone_into(cell);
            }
            Ok(cells)
        })
    }
}

/// The names in a CSV file's first line.
///
/// # Errors
/// A file that cannot be read or is no text.
pub fn header(path: &Path) -> Result<Vec<String>> {
    headers(path, &mut reader(path)?)
}

fn reader(path: &Path) -> Result<csv::Reader<File>> {
    let file = File::open(path).map_err(Error::file(path))?;
    Ok(csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file))
}

fn headers(path: &Path, reader: &mut csv::Reader<File>) -> Result<Vec<String>> {
    let header = reader.headers().map_err(|error| Error::Data {
        file: path.into(),
        reason: format!("no readable CSV file: {error}"),
    })?;
    Ok(header.iter().map(str::to_owned).collect())
}

/// "a, b and c"
fn listed(names: &[&str]) -> String {
    match names {
        [all @ .., before, last] => {
            all.iter().map(|name| format!("{name}, ")).collect::<String>() + before + " and " + last
        }
        _ => names.concat(),
    }
}
