//! Rows as a Parquet file: the columns in one table, encoding, and joining files of the same columns.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use dmue_edge::engine::Prediction;
use dmue_edge::face::{Face, FaceBox, Landmarks};
use parquet::basic::Compression;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, FloatType, Int32Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;

/// One face, or an image without one, or an image that could not be read.
pub struct Row<'a> {
    pub path: &'a str,
    /// Its position among the image's faces, the most confidently detected first, and what is said.
    pub face: Option<(usize, &'a Prediction)>,
    /// Whether the score is below the threshold; none without a threshold or a face.
    pub unsure: Option<bool>,
    /// Why the image has no answer.
    pub error: Option<&'a str>,
}

/// How a column's cell comes out of a row; none is null.
enum Cell {
    Text(fn(&Row<'_>) -> Option<ByteArray>),
    Integer(fn(&Row<'_>) -> Option<i32>),
    Number(fn(&Row<'_>) -> Option<f32>),
    Flag(fn(&Row<'_>) -> Option<bool>),
    Numbers(for<'r> fn(&Row<'r>) -> Option<&'r [f32]>),
}

/// Every column, in order. All may be null but `path`. Places are in pixels of the upright image; the
/// names and values are those of `dmue predict --json`.
const COLUMNS: [(&str, Cell); 26] = [
    ("path", Cell::Text(|row| Some(row.path.into()))),
    ("face_index", Cell::Integer(|row| row.face.map(|(index, _)| index as i32))),
    ("box_x", Cell::Number(|row| corner(row, |b| b.x))),
    ("box_y", Cell::Number(|row| corner(row, |b| b.y))),
    ("box_width", Cell::Number(|row| corner(row, |b| b.width))),
    ("box_height", Cell::Number(|row| corner(row, |b| b.height))),
    ("detection_score", Cell::Number(|row| found(row).map(|face| face.detection_score))),
    ("right_eye_x", Cell::Number(|row| landmark(row, |l| l.right_eye[0]))),
    ("right_eye_y", Cell::Number(|row| landmark(row, |l| l.right_eye[1]))),
    ("left_eye_x", Cell::Number(|row| landmark(row, |l| l.left_eye[0]))),
    ("left_eye_y", Cell::Number(|row| landmark(row, |l| l.left_eye[1]))),
    ("nose_x", Cell::Number(|row| landmark(row, |l| l.nose[0]))),
    ("nose_y", Cell::Number(|row| landmark(row, |l| l.nose[1]))),
    ("mouth_x", Cell::Number(|row| landmark(row, |l| l.mouth[0]))),
    ("mouth_y", Cell::Number(|row| landmark(row, |l| l.mouth[1]))),
    ("right_ear_x", Cell::Number(|row| landmark(row, |l| l.right_ear[0]))),
    ("right_ear_y", Cell::Number(|row| landmark(row, |l| l.right_ear[1]))),
    ("left_ear_x", Cell::Number(|row| landmark(row, |l| l.left_ear[0]))),
    ("left_ear_y", Cell::Number(|row| landmark(row, |l| l.left_ear[1]))),
    ("label", Cell::Text(|row| said(row).map(|face| face.label.as_str().into()))),
    ("class_index", Cell::Integer(|row| said(row).map(|face| face.class_index as i32))),
    ("probabilities", Cell::Numbers(|row| row.face.map(|(_, face)| &face.probabilities[..]))),
    ("score", Cell::Number(|row| said(row).map(|face| face.score))),
    ("alpha", Cell::Number(|row| said(row).map(|face| face.alpha))),
    ("unsure", Cell::Flag(|row| row.unsure)),
    ("error", Cell::Text(|row| row.error.map(ByteArray::from))),
];

/// A whole Parquet file of `rows` with `notes` as its key-value metadata.
pub fn encode(rows: &[Row<'_>], notes: &[(&str, String)]) -> Result<Vec<u8>> {
    let mut writer = begin(Vec::new(), notes)?;
    let mut group = writer.next_row_group()?;
    for (_, cell) in &COLUMNS {
        write_column(&mut group, rows, cell)?;
    }
    group.close()?;
    writer.into_inner()
}

/// What a joined file holds.
#[derive(Default)]
pub struct Counts {
    /// Rows with a face.
    pub faces: usize,
    /// Rows with an error.
    pub errors: usize,
}

/// Files that become one row group: some 65,000 images, as readers of Parquet like it, while a hundred
/// bytes a row of all columns stay in memory.
const FILES_PER_GROUP: usize = 1024;

/// Writes the rows of all `parts`, files of [`encode`], in order into `out`.
///
/// # Errors
/// Names the part that is damaged or cannot be read.
pub fn join(parts: &[std::path::PathBuf], out: File, notes: &[(&str, String)]) -> Result<Counts> {
    let mut writer = begin(out, notes)?;
    let mut counts = Counts::default();
    for files in parts.chunks(FILES_PER_GROUP) {
        let readers: Vec<_> = files.iter().map(|file| open(file)).collect::<Result<_>>()?;
        let mut group = writer.next_row_group()?;
        for (index, (name, _)) in COLUMNS.iter().enumerate() {
            let values = copy_column(&readers, index, &mut group)?;
            match *name {
                "face_index" => counts.faces += values,
                "error" => counts.errors += values,
                _ => {}
            }
        }
        group.close()?;
    }
    writer.into_inner()?.sync_all()?;
    Ok(counts)
}

fn begin<W: Write + Send>(out: W, notes: &[(&str, String)]) -> Result<SerializedFileWriter<W>> {
    let notes = notes.iter().map(|(key, value)| KeyValue::new((*key).into(), value.clone()));
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(notes.collect()))
        .build();
    SerializedFileWriter::new(out, schema()?, Arc::new(properties))
}

fn schema() -> Result<TypePtr> {
    let columns = COLUMNS.iter().map(|(name, cell)| match cell {
        Cell::Text(_) => format!("optional binary {name} (STRING);"),
        Cell::Integer(_) => format!("optional int32 {name};"),
        Cell::Number(_) => format!("optional float {name};"),
        Cell::Flag(_) => format!("optional boolean {name};"),
        Cell::Numbers(_) => {
            format!("optional group {name} (LIST) {{ repeated group list {{ required float element; }} }}")
        }
    });
    let columns: String = columns.collect();
    parse_message_type(&format!("message labels {{ {columns} }}")).map(Arc::new)
}

fn write_column<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Row<'_>],
    cell: &Cell,
) -> Result<()> {
    match cell {
        Cell::Text(of) => write_cells::<ByteArrayType, _>(group, rows.iter().map(of)),
        Cell::Integer(of) => write_cells::<Int32Type, _>(group, rows.iter().map(of)),
        Cell::Number(of) => write_cells::<FloatType, _>(group, rows.iter().map(of)),
        Cell::Flag(of) => write_cells::<BoolType, _>(group, rows.iter().map(of)),
        Cell::Numbers(of) => write_lists(group, rows.iter().map(of)),
    }
}

fn write_cells<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    cells: impl Iterator<Item = Option<T::T>> + Clone,
) -> Result<()> {
    let present: Vec<i16> = cells.clone().map(|cell| cell.is_some().into()).collect();
    let values: Vec<T::T> = cells.flatten().collect();
    write_values::<T, W>(group, &Values { values, definition: present, repetition: Vec::new() })
}

/// Definition levels of a list: 0 is null, 1 empty, 2 an element; repetition levels: 0 begins a list.
fn write_lists<'a, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    lists: impl Iterator<Item = Option<&'a [f32]>>,
) -> Result<()> {
    let mut column = Values::<f32>::default();
    for list in lists {
        let elements = list.unwrap_or_default();
        column.values.extend(elements);
        let levels = elements.len().max(1);
        let definition = if elements.is_empty() { list.is_some().into() } else { 2 };
        column.definition.extend(std::iter::repeat_n(definition, levels));
        column.repetition.push(0);
        column.repetition.extend(std::iter::repeat_n(1, levels - 1));
    }
    write_values::<FloatType, W>(group, &column)
}

/// A column's values that are not null, and Parquet's levels.
struct Values<T> {
    values: Vec<T>,
    definition: Vec<i16>,
    /// Empty where the column holds no lists.
    repetition: Vec<i16>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new(), definition: Vec::new(), repetition: Vec::new() }
    }
}

fn write_values<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: &Values<T::T>,
) -> Result<()> {
    let Some(mut writer) = group.next_column()? else { return Ok(()) };
    let repetition = Some(&column.repetition[..]).filter(|levels| !levels.is_empty());
    writer.typed::<T>().write_batch(&column.values, Some(&column.definition), repetition)?;
    writer.close()
}

/// A part's bytes rather than its file: a row group has more parts than a process may have open files.
fn open(part: &Path) -> Result<SerializedFileReader<Bytes>> {
    let named = |error: ParquetError| ParquetError::General(format!("{}: {error}", part.display()));
    let bytes = std::fs::read(part).map_err(|error| named(error.into()))?;
    let reader = SerializedFileReader::new(Bytes::from(bytes)).map_err(named)?;
    let schema = schema()?;
    if reader.metadata().file_metadata().schema() != schema.as_ref() {
        return Err(named(ParquetError::General("has other columns: delete it".into())));
    }
    Ok(reader)
}

/// Copies one column of all parts; how many values it has that are not null.
fn copy_column<W: Write + Send>(
    parts: &[SerializedFileReader<Bytes>],
    index: usize,
    group: &mut SerializedRowGroupWriter<'_, W>,
) -> Result<usize> {
    match COLUMNS[index].1 {
        Cell::Text(_) => copy::<ByteArrayType, W>(parts, index, group),
        Cell::Integer(_) => copy::<Int32Type, W>(parts, index, group),
        Cell::Number(_) | Cell::Numbers(_) => copy::<FloatType, W>(parts, index, group),
        Cell::Flag(_) => copy::<BoolType, W>(parts, index, group),
    }
}

fn copy<T: DataType, W: Write + Send>(
    parts: &[SerializedFileReader<Bytes>],
    index: usize,
    group: &mut SerializedRowGroupWriter<'_, W>,
) -> Result<usize> {
    let mut column = Values::<T::T>::default();
    for part in parts {
        for number in 0..part.num_row_groups() {
            let rows = part.get_row_group(number)?;
            let reader: ColumnReader = rows.get_column_reader(index)?;
            let reader: ColumnReaderImpl<T> = T::get_column_reader(reader)
                .ok_or_else(|| ParquetError::General("a column of another type".into()))?;
            read(reader, rows.metadata().num_rows() as usize, &mut column)?;
        }
    }
    write_values::<T, W>(group, &column)?;
    Ok(column.values.len())
}

fn read<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    column: &mut Values<T::T>,
) -> Result<()> {
    let Values { values, definition, repetition } = column;
    let mut left = rows;
    while left > 0 {
        let (read, ..) = reader.read_records(left, Some(definition), Some(repetition), values)?;
        if read == 0 {
            return Err(ParquetError::General(format!("a column lacks {left} of {rows} rows")));
        }
        left -= read;
    }
    Ok(())
}

fn said<'a>(row: &Row<'a>) -> Option<&'a Prediction> {
    row.face.map(|(_, prediction)| prediction)
}

fn found(row: &Row<'_>) -> Option<Face> {
    said(row).and_then(|prediction| prediction.face)
}

fn corner(row: &Row<'_>, of: fn(&FaceBox) -> f32) -> Option<f32> {
    found(row).map(|face| of(&face.bounding_box))
}

fn landmark(row: &Row<'_>, of: fn(&Landmarks) -> f32) -> Option<f32> {
    found(row).map(|face| of(&face.landmarks))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use parquet::record::Row as Record;
    use proptest::prelude::*;

    use super::*;
    use crate::made;

    fn prediction(seed: u8) -> Prediction {
        let number = f32::from(seed) / 7.0;
        let bounding_box = FaceBox { x: number, y: -number, width: number, height: 1.0 };
        let made = made::prediction(bounding_box, number);
        Prediction {
            face: made.face.filter(|_| seed.is_multiple_of(2)),
            label: format!("class {seed}"),
            class_index: usize::from(seed),
            probabilities: vec![number; usize::from(seed % 4)],
            score: number,
            alpha: number,
            ..made
        }
    }

    fn records(file: impl parquet::file::reader::ChunkReader + 'static) -> Vec<Record> {
        let reader = SerializedFileReader::new(file).unwrap();
        reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn parts_joined_are_all_rows_at_once(
            kinds in prop::collection::vec(any::<u8>(), 1..60),
            size in 1usize..20,
        ) {
            let faces: Vec<_> = kinds.iter().map(|kind| prediction(*kind)).collect();
            let rows: Vec<_> = kinds
                .iter()
                .zip(&faces)
                .map(|(kind, face)| Row {
                    path: &face.label,
                    face: (kind % 3 > 0).then_some((usize::from(*kind), face)),
                    unsure: (kind % 3 > 0).then_some(kind % 5 == 0),
                    error: (kind % 3 == 0).then_some("unreadable"),
                })
                .collect();
            let folder = tempfile::tempdir().unwrap();
            let parts: Vec<PathBuf> =
                (0..rows.len().div_ceil(size)).map(|part| folder.path().join(part.to_string())).collect();
            for (part, rows) in parts.iter().zip(rows.chunks(size)) {
                std::fs::write(part, encode(rows, &[]).unwrap()).unwrap();
            }
            let joined = folder.path().join("joined");
            let counts = join(&parts, File::create(&joined).unwrap(), &[]).unwrap();
            let errors = rows.iter().filter(|row| row.error.is_some()).count();
            prop_assert_eq!((counts.faces, counts.errors), (rows.len() - errors, errors));
            let all = records(Bytes::from(encode(&rows, &[]).unwrap()));
            prop_assert_eq!(records(File::open(&joined).unwrap()), all);
        }
    }

    #[test]
    fn a_row_reads_as_it_was_written() {
        let face = prediction(6);
        let row = Row { path: "a.png", face: Some((1, &face)), unsure: Some(true), error: None };
        let nothing = Row { path: "b.png", face: None, unsure: None, error: Some("cut short") };
        let bytes = encode(&[row, nothing], &[("classes", "[]".into())]).unwrap();
        let read: Vec<_> = records(Bytes::from(bytes)).iter().map(ToString::to_string).collect();
        assert!(
            read[0].starts_with("{path: \"a.png\", face_index: 1, box_x: 0.857"),
            "{}",
            read[0]
        );
        assert!(read[0].contains("label: \"class 6\", class_index: 6, probabilities: [0.857"));
        assert!(read[0].ends_with("unsure: true, error: null}"), "{}", read[0]);
        assert!(read[1].starts_with("{path: \"b.png\", face_index: null, box_x: null"));
        assert!(read[1].contains("probabilities: null") && read[1].contains("\"cut short\""));
    }

    #[test]
    fn a_damaged_part_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("part-000000.parquet");
        std::fs::write(&part, b"PAR1 no table PAR1").unwrap();
        let out = File::create(folder.path().join("out")).unwrap();
        let error = join(&[part], out, &[]).err().unwrap().to_string();
        assert!(error.contains("part-000000.parquet"), "{error}");
    }
}
