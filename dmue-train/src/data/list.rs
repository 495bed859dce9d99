//! A CSV list with the header `path,label`: paths relative to the list's folder, labels are class
//! names; classes in alphabetical order.

use std::collections::BTreeSet;
use std::path::Path;

use super::dataset::Source;
use super::folder;
use super::sample::{Collector, CropSpec};
use crate::error::{Error, Result};

#[derive(serde::Deserialize)]
struct Line {
    path: String,
    label: String,
}

/// Reads the list and every image that it names.
///
/// # Errors
/// A missing header, an unreadable image.
pub fn read(path: &Path, spec: CropSpec, skip_bad: bool) -> Result<Source> {
    let lines = lines(path)?;
    let labels: BTreeSet<String> = lines.iter().flatten().map(|line| line.label.clone()).collect();
    let classes: Vec<String> = labels.into_iter().collect();
    let root = path.parent().unwrap_or(Path::new("."));
    let mut collector = Collector::new(path, skip_bad);
    for (row, line) in lines.into_iter().enumerate() {
        let sample = line.and_then(|line| {
            let label = classes.binary_search(&line.label).map_err(|_| "label".to_owned())?;
            folder::sample(&root.join(&line.path), label, spec)
        });
        collector.take(row, sample.map(Some))?;
    }
    Ok(Source::collected(path, classes, collector))
}

fn lines(path: &Path) -> Result<Vec<std::result::Result<Line, String>>> {
    let fail = |reason: String| Error::Data { file: path.into(), reason };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| fail(error.to_string()))?;
    let header = reader.headers().map_err(|error| fail(error.to_string()))?;
    for column in ["path", "label"] {
        if !header.iter().any(|name| name == column) {
            let found = header.iter().collect::<Vec<_>>().join(",");
            return Err(fail(format!("the header is \"{found}\": must name path and label")));
        }
    }
    let checked = |line: csv::Result<Line>| match line {
        Ok(line) if line.label.is_empty() => Err(format!("label of {} is empty", line.path)),
        Ok(line) => Ok(line),
        Err(error) => Err(error.to_string()),
    };
    Ok(reader.deserialize().map(checked).collect())
}
