//! Made faces: as samples in memory, as image files, as a Parquet pack.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use dmue_edge::face::align::FaceCrop;
use dmue_train::data::dataset::Source;
use dmue_train::data::sample::Sample;
use image::{GrayImage, ImageFormat};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::Draws;

/// Gray pixels `[size * size]`: a bar whose direction tells the class, at a drawn place, in noise.
pub fn pixels(class: usize, classes: usize, size: usize, draws: &mut Draws) -> Vec<u8> {
    let angle = std::f64::consts::PI * class as f64 / classes as f64;
    let shift = draws.spread(0.15) * size as f64;
    let middle = (size - 1) as f64 / 2.;
    let pixel = |index: usize| {
        let (x, y) = ((index % size) as f64 - middle, (index / size) as f64 - middle);
        let off = x * angle.sin() - y * angle.cos() - shift;
        100. + 120. * (-(off / 2.).powi(2)).exp()
    };
    (0..size * size).map(|index| (pixel(index) + draws.spread(30.)) as u8).collect()
}

/// `per_class` gray faces of each class.
pub fn source(classes: usize, per_class: usize, size: usize, seed: u64) -> Source {
    let mut draws = Draws::new(seed);
    let samples = (0..classes * per_class).map(|index| {
        let label = index % classes;
        let pixels = pixels(label, classes, size, &mut draws);
        let crop = FaceCrop { size: size as u32, channels: 1, pixels };
        Sample {
            name: format!("made {index}"),
            crop,
            label,
            votes: None,
            original: [size as u32; 2],
        }
    });
    Source {
        samples: samples.collect(),
        classes: (0..classes).map(|class| format!("class{class}")).collect(),
        summary: "made".into(),
    }
}

/// A gray PNG file's bytes.
pub fn png(pixels: &[u8], size: usize) -> Vec<u8> {
    let image = GrayImage::from_raw(size as u32, size as u32, pixels.to_vec()).unwrap();
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A row of a pack; `None` is a null.
#[derive(Clone, Debug)]
pub struct PackRow {
    pub name: Option<String>,
    pub image: Option<Vec<u8>>,
    pub votes: Option<Vec<i32>>,
}

/// The columns of `ferplus_train.parquet`.
pub const PACK_SCHEMA: &str = "message schema {
    OPTIONAL INT32 index;
    OPTIONAL BYTE_ARRAY name (UTF8);
    OPTIONAL BYTE_ARRAY image;
    OPTIONAL GROUP votes (LIST) { REPEATED GROUP list { OPTIONAL INT32 element (UINT_8); } }
}";

/// Writes a pack with the columns of `schema`, which must be those of [`PACK_SCHEMA`] or the first
/// of them.
pub fn write_pack(file: &Path, schema: &str, votes_order: Option<&str>, rows: &[PackRow]) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let order = |order: &str| vec![KeyValue::new("votes_order".into(), order.to_owned())];
    let properties =
        WriterProperties::builder().set_key_value_metadata(votes_order.map(order)).build();
    let mut writer =
        SerializedFileWriter::new(File::create(file).unwrap(), schema, Arc::new(properties))
            .unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = 0;
    while let Some(mut writer) = group.next_column().unwrap() {
        match column {
            0 => {
                let indices: Vec<i32> = (0..rows.len() as i32).collect();
                let levels = vec![1; rows.len()];
                writer.typed::<Int32Type>().write_batch(&indices, Some(&levels), None).unwrap();
            }
            3 => {
                let (values, definition, repetition) = votes_column(rows);
                let typed = writer.typed::<Int32Type>();
                typed.write_batch(&values, Some(&definition), Some(&repetition)).unwrap();
            }
            _ => {
                let (values, levels) = bytes_column(rows, column == 1);
                writer.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            }
        }
        writer.close().unwrap();
        column += 1;
    }
    group.close().unwrap();
    writer.close().unwrap();
}

fn bytes_column(rows: &[PackRow], names: bool) -> (Vec<ByteArray>, Vec<i16>) {
    let cell = |row: &PackRow| match names {
        true => row.name.as_ref().map(|name| name.clone().into_bytes()),
        false => row.image.clone(),
    };
    let levels = rows.iter().map(|row| i16::from(cell(row).is_some())).collect();
    (rows.iter().filter_map(cell).map(ByteArray::from).collect(), levels)
}

/// Values, definition levels (0 null, 1 empty, 3 a count) and repetition levels (0 begins a row).
fn votes_column(rows: &[PackRow]) -> (Vec<i32>, Vec<i16>, Vec<i16>) {
    let (mut values, mut definition, mut repetition) = (vec![], vec![], vec![]);
    for row in rows {
        let votes = row.votes.as_deref().unwrap_or_default();
        if votes.is_empty() {
            definition.push(i16::from(row.votes.is_some()));
            repetition.push(0);
        }
        for (position, &count) in votes.iter().enumerate() {
            values.push(count);
            definition.push(3);
            repetition.push(i16::from(position > 0));
        }
    }
    (values, definition, repetition)
}

/// A pack of 3 classes whose faces have in turn six votes, two for the next class and one for "no
/// face", and four votes, three for the next class.
pub fn vote_pack(file: &Path, per_class: usize, seed: u64) {
    let mut draws = Draws::new(seed);
    let rows: Vec<PackRow> = (0..3 * per_class)
        .map(|index| {
            let class = index % 3;
            let mut votes = vec![0; 5];
            let (own, next, none) = if index / 3 % 2 == 0 { (6, 2, 1) } else { (4, 3, 0) };
            (votes[class], votes[(class + 1) % 3], votes[4]) = (own, next, none);
            PackRow {
                name: Some(format!("{index}")),
                image: Some(png(&pixels(class, 3, 24, &mut draws), 24)),
                votes: Some(votes),
            }
        })
        .collect();
    write_pack(file, PACK_SCHEMA, Some("a,b,c,unknown,NF"), &rows);
}
