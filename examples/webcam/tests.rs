//! The whole way from a folder or a stream to a record and a canvas.

use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use embedded_graphics::prelude::*;

use super::*;
use crate::canvas::{BACKGROUND, Canvas};
use crate::draw::{Layout, draw};

const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images");

/// What a window would show, as many times as it was asked to.
#[derive(Clone, Default)]
struct Drawn(Arc<Mutex<Vec<Canvas>>>);

impl Screen for Drawn {
    fn show(&mut self, moment: &Moment<'_>) -> Result<(), Failure> {
        let layout = Layout::new(Size::new(moment.picture.width, moment.picture.height));
        let mut canvas = Canvas::new(layout.size());
        draw(&mut canvas, &layout, moment);
        self.0.lock().unwrap().push(canvas);
        Ok(())
    }
}

/// Watches to the end; gives what was drawn.
fn watch(pictures: Pictures, record: Option<&Path>) -> Result<Vec<Canvas>, Failure> {
    let (engine, drawn) = (Arc::new(Engine::builder().build()?), Drawn::default());
    let watcher = Watcher {
        session: Session::new(Arc::clone(&engine), SessionOptions::default())?,
        engine,
        history: History::default(),
        recorder: record.map(Recorder::create).transpose()?,
        screen: Box::new(drawn.clone()),
    };
    watcher.watch(&source::start(pictures, Pace::All), &AtomicBool::new(false))?;
    Ok(std::mem::take(&mut drawn.0.lock().unwrap()))
}

fn has_model() -> bool {
    let has_model = Engine::default_model().is_some();
    if !has_model {
        eprintln!("skipped: this build carries no model");
    }
    has_model
}

#[test]
fn a_folder_is_watched_recorded_and_drawn() {
    if !has_model() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("out.jsonl");
    let pictures = source::open(Path::new(IMAGES), Duration::from_millis(500)).unwrap();
    let drawn = watch(pictures, Some(&record)).unwrap();
    let [canvas] = &drawn[..] else { panic!("{} pictures", drawn.len()) };
    let [red, green, blue] = [BACKGROUND.r(), BACKGROUND.g(), BACKGROUND.b()];
    let background = canvas::packed(red, green, blue);
    let panel = canvas.pixels.chunks(canvas.size().width as usize).map(|row| &row[640..]);
    assert!(panel.flatten().any(|pixel| *pixel != background), "nothing beside the picture");

    let lines = std::fs::read_to_string(record).unwrap();
    let values: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line] = &values[..] else { panic!("{lines}") };
    assert_eq!(
        (&line["time"], &line["width"], &line["height"]),
        (&0.0.into(), &512.into(), &512.into())
    );
    let face = &line["faces"][0];
    assert_eq!(
        (&face["id"], &face["label"], &face["steadied"]),
        (&1.into(), &"happiness".into(), &"happiness".into())
    );
    let sum: f64 = face["probabilities"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(serde_json::Value::as_f64)
        .sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
}

#[test]
fn streams_of_every_kind_give_their_pictures_in_time() {
    let jpeg = {
        let photo = dmue_edge::Photo::open(format!("{IMAGES}/astronaut.png")).unwrap();
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        photo.into_pixels().write_with_encoder(encoder).unwrap();
        bytes
    };
    let y4m = b"YUV4MPEG2 W3 H2 F4:1 XCOLORRANGE=FULL\nFRAME\n0123456789FRAME\n0123456789";
    let ppm = b"P6 1 1 255\nabcP6 1 1 255\nabc";
    let damaged = b"\xff\xd8\xff\xda\x00\x02junk\xff\xd9";
    let mjpeg = [&jpeg, &damaged[..], &jpeg].concat();
    for (name, stream, size, times) in [
        ("y4m", &y4m[..], (3, 2), [0, 250]),
        ("ppm", &ppm[..], (1, 1), [0, 100]),
        ("mjpeg", &mjpeg[..], (512, 512), [0, 200]),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(stream).unwrap();
        let pictures = source::open(file.path(), Duration::from_millis(100)).unwrap();
        let pictures: Vec<_> = pictures.map(|picture| picture.unwrap()).collect();
        let found: Vec<_> = pictures.iter().map(|picture| picture.time.as_millis()).collect();
        assert_eq!(found, times, "{name}");
        for picture in pictures {
            assert_eq!((picture.width, picture.height), size, "{name}");
            assert!(picture.view().is_ok(), "{name}");
        }
    }
}

#[test]
fn bad_sources_are_named() {
    let error = |source: &Path| {
        let opened = source::open(source, Duration::from_millis(100));
        match opened.and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(_) => panic!("{} was read", source.display()),
            Err(error) => error.to_string(),
        }
    };
    let folder = tempfile::tempdir().unwrap();
    assert!(error(folder.path()).contains("no images"));
    assert!(error(&folder.path().join("none.mp4")).contains("none.mp4"));
    let cut_short = folder.path().join("cut.y4m");
    std::fs::write(&cut_short, b"YUV4MPEG2 W3 H2\nFRAME\n01234").unwrap();
    assert!(error(&cut_short).contains("cut.y4m"));
}
