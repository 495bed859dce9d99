//! A CSV list with the header `path,label`: paths relative to the list's folder, labels are class
//! names; classes in alphabetical order.

use std::collections::BTreeSet;
use std::path::Path;

use super::dataset::Source;
use super::folder;
use super::sample::{Collector, CropSpec};
use super::table::Table;
use crate::error::Result;

/// The columns of a list.
pub const COLUMNS: [&str; 2] = ["path", "label"];

/// Reads the list and every image that it names.
///
/// # Errors
/// A missing header, an unreadable image.
pub fn read(path: &Path, spec: CropSpec, skip_bad: bool) -> Result<Source> {
    let lines: Vec<_> = Table::open(path, COLUMNS)?.rows().map(labelled).collect();
    let labels: BTreeSet<String> = lines.iter().flatten().map(|[_, label]| label.clone()).collect();
    let classes: Vec<String> = labels.into_iter().collect();
    let root = path.parent().unwrap_or(Path::new("."));
    let mut collector = Collector::new(path, skip_bad);
    for (row, line) in lines.into_iter().enumerate() {
        let sample = line.and_then(|[image, label]| {
            let label = classes.binary_search(&label).map_err(|_| "label".to_owned())?;
            folder::sample(&root.join(&image), label, spec)
        });
        collector.take(row, sample.map(Some))?;
    }
    Ok(Source::collected(path, classes, collector))
}

fn labelled(
    row: std::result::Result<[String; 2], String>,
) -> std::result::Result<[String; 2], String> {
    match row {
        Ok([path, label]) if label.is_empty() => Err(format!("label of {path} is empty")),
        row => row,
    }
}
