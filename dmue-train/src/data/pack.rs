//! The FERPlus Parquet pack: columns `name`, `image` (an encoded image file) and `votes`, whose
//! order stands in the file's metadata under `votes_order` (the classes, then `unknown`, `NF`).

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::dataset::Source;
use super::sample::{Collector, CropSpec, Sample};
use super::votes::majority;
use crate::error::{Error, Result};

/// Streams the pack row by row.
///
/// # Errors
/// No Parquet file, no `votes_order`, a bad row.
pub fn read(path: &Path, spec: CropSpec, skip_bad: bool) -> Result<Source> {
    let fail = |reason: String| Error::Data { file: path.into(), reason };
    let file = File::open(path).map_err(Error::file(path))?;
    let reader = SerializedFileReader::new(file).map_err(|error| fail(error.to_string()))?;
    let classes = class_names(&reader).map_err(fail)?;
    let mut collector = Collector::new(path, skip_bad);
    let rows = reader.get_row_iter(None).map_err(|error| fail(error.to_string()))?;
    for (index, row) in rows.enumerate() {
        let row = row.map_err(|error| fail(format!("row {index}: {error}")))?;
        collector.take(index, sample(&row, classes.len(), spec))?;
    }
    Ok(Source::collected(path, classes, collector))
}

fn class_names(reader: &SerializedFileReader<File>) -> std::result::Result<Vec<String>, String> {
    let metadata = reader.metadata().file_metadata().key_value_metadata();
    let order = metadata
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == "votes_order"))
        .and_then(|pair| pair.value.as_deref())
        .ok_or("the file's metadata has no votes_order: this is no FERPlus pack")?;
    let mut names: Vec<String> = order.split(',').map(|name| name.trim().to_owned()).collect();
    match names.split_off(names.len().saturating_sub(2)).as_slice() {
        [unknown, none] if unknown == "unknown" && none == "NF" && names.len() > 1 => Ok(names),
        _ => Err(format!("votes_order is \"{order}\": must be the classes, then unknown,NF")),
    }
}

fn sample(
    row: &Row,
    classes: usize,
    spec: CropSpec,
) -> std::result::Result<Option<Sample>, String> {
    let field = |name: &str| {
        let mut columns = row.get_column_iter();
        columns.find(|(column, _)| *column == name).map(|(_, field)| field)
    };
    let Some(Field::Str(name)) = field("name") else { return Err(wrong("name", field("name"))) };
    let Some(Field::Bytes(image)) = field("image") else {
        return Err(format!("image of {name} is null or no bytes"));
    };
    let mut votes = votes(field("votes"))?;
    if votes.len() != classes + 2 {
        return Err(format!("votes has {} counts, votes_order {}", votes.len(), classes + 2));
    }
    let Some(label) = majority(&votes, classes) else { return Ok(None) };
    let (crop, original) =
        spec.decode(image.data()).map_err(|reason| format!("image of {name}: {reason}"))?;
    votes.truncate(classes); // the rest are "unknown" and "no face"
    Ok(Some(Sample { name: name.clone(), crop, label, votes: Some(votes), original }))
}

fn votes(field: Option<&Field>) -> std::result::Result<Vec<u8>, String> {
    let Some(Field::ListInternal(list)) = field else { return Err(wrong("votes", field)) };
    let count = |element: &Field| match element {
        Field::UByte(count) => Ok(*count),
        other => Err(format!("votes holds {other}, not an 8-bit count")),
    };
    list.elements().iter().map(count).collect()
}

fn wrong(column: &str, field: Option<&Field>) -> String {
    match field {
        None => format!("there is no column {column}"),
        Some(field) => format!("column {column} holds {field}"),
    }
}
