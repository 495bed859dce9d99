//! One video stream: faces followed from frame to frame, their expressions steadied. Chains the
//! stages and does nothing else.

mod error;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use error::SessionError;

use crate::abstain::{Answer, Threshold, answer, threshold_for};
use crate::engine::{Engine, Prediction, Timings};
use crate::error::Result;
use crate::face::follower::Follower;
use crate::face::{Face, FaceBox};
use crate::frame::FrameView;
use crate::steady::{Steadied, Steadier, SteadyOptions};
use crate::track::{FaceSource, Sighting, Tracker, TrackingOptions};
use crate::window::{Window, WindowOptions};

/// How a stream is answered. The defaults suit one camera at 10 to 30 frames a second.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionOptions {
    /// The frames that the score looks back on.
    pub window: WindowOptions,
    /// How faces are found again from frame to frame.
    pub tracking: TrackingOptions,
    /// How much the steadied label resists.
    pub steady: SteadyOptions,
    /// Share of wrong answers among the answers given that the caller tolerates, above 0 and below
    /// 1; the model's calibrated threshold for the next lower rate decides. None: never `Unsure`.
    pub tolerated_error: Option<f64>,
}

/// Answers the frames of one stream, in the order of their capture.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dmue_edge::{Engine, Photo, Session, SessionOptions};
///
/// # fn main() -> dmue_edge::Result<()> {
/// # let portrait = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");
/// # if Engine::default_model().is_none() || !std::path::Path::new(portrait).is_file() { return Ok(()); }
/// let engine = Arc::new(Engine::builder().build()?); // one for all streams
/// let mut session = Session::new(engine, SessionOptions::default())?; // one for each stream
/// let photo = Photo::open(portrait)?;
/// for frame in 0..3 {
///     let time = Duration::from_millis(66 * frame);
///     for face in session.process(&photo.view()?, time)?.faces {
///         println!("face {}: {:?}", face.track_id, face.steadied);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Session {
    engine: Arc<Engine>,
    options: SessionOptions,
    threshold: Option<Threshold>,
    follower: Arc<Follower>,
    tracker: Tracker,
    people: BTreeMap<u64, Person>,
    last: Option<Duration>,
}

/// What a session remembers of one track besides where the face is.
struct Person {
    window: Window,
    steadier: Steadier,
}

/// What a session says about one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionResult {
    /// The faces in sight, by ascending `track_id`. A face that is being looked for is not among
    /// them.
    pub faces: Vec<TrackedFace>,
    /// Whether the whole frame was searched, which takes longer.
    pub searched: bool,
    /// Where the time went.
    pub timings: Timings,
}

/// One face of a frame, with what its track says.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackedFace {
    /// The same for the same face from frame to frame, never used again in a session.
    pub track_id: u64,
    /// Where the face is.
    pub face: Face,
    /// This frame alone: label, probabilities and the score with W = 0.
    pub prediction: Prediction,
    /// This frame alone: its label, or `Unsure`. The calibrated promise is about this answer.
    pub answer: Answer,
    /// The score from the window of this track's frames, 0..=1; with W = 0 the prediction's.
    pub window_score: f32,
    /// `[C]`, this track's probabilities, smoothed; they add up to 1.
    pub steadied_probabilities: Vec<f32>,
    /// This track's smoothed score, 0..=1.
    pub steadied_score: f32,
    /// The label that holds, or `Unsure`, by the same threshold but without its promise.
    pub steadied: Answer,
    /// Time since the track began.
    pub age: Duration,
    /// Whether the frame entered the window.
    pub news: bool,
}

impl Session {
    /// Starts a stream.
    ///
    /// # Errors
    /// [`crate::Error::Session`] for an option out of range, or for a tolerated error rate below
    /// all that the model promises.
    pub fn new(engine: Arc<Engine>, options: SessionOptions) -> Result<Self> {
        options.check()?;
        let promised = &engine.model().manifest().abstention;
        let threshold =
            options.tolerated_error.map(|rate| threshold_for(promised, rate)).transpose()?;
        let tracker = Tracker::new(options.tracking.clone())?;
        let follower = engine.follower()?;
        let people = BTreeMap::new();
        Ok(Self { engine, options, threshold, follower, tracker, people, last: None })
    }

    /// Answers the next frame, captured at `timestamp` on any clock that does not go back. A
    /// timestamp equal to the last one counts as no time passed.
    ///
    /// # Errors
    /// [`SessionError::Timestamp`] when time went backwards, [`crate::Error::Run`] if a network
    /// fails to run; the session is then as before.
    pub fn process(&mut self, frame: &FrameView<'_>, timestamp: Duration) -> Result<SessionResult> {
        self.check_time(timestamp)?;
        let mut timings = Timings::default();
        let mut tracker = self.tracker.clone();
        let Self { engine, follower, .. } = self;
        let mut source = Eyes { engine, follower, frame, timings: &mut timings, searched: false };
        let sightings = tracker.update(timestamp, &mut source)?;
        let searched = source.searched;
        let faces = sightings.iter().map(|sighting| sighting.face).collect();
        let predictions = self.engine.answer(frame, faces, &mut timings)?;

        self.tracker = tracker;
        self.last = Some(timestamp);
        self.people.retain(|id, _| self.tracker.is_live(*id));
        let faces = sightings.into_iter().zip(predictions);
        let faces = faces
            .map(|(sighting, prediction)| self.tracked(sighting, prediction, timestamp))
            .collect::<Result<Vec<_>>>()?;
        Ok(SessionResult { faces, searched, timings })
    }

    /// Forgets every face and the time, for another stream. Track ids go on: none is used twice.
    pub fn reset(&mut self) {
        self.tracker.reset();
        self.people.clear();
        self.last = None;
    }

    /// The calibrated threshold behind `Unsure`; none if no error rate was asked for.
    pub fn threshold(&self) -> Option<&Threshold> {
        self.threshold.as_ref()
    }

    fn check_time(&self, given: Duration) -> Result<(), SessionError> {
        match self.last {
            Some(last) if given < last => Err(SessionError::Timestamp { last, given }),
            _ => Ok(()),
        }
    }

    fn tracked(
        &mut self,
        sighting: Sighting,
        prediction: Prediction,
        time: Duration,
    ) -> Result<TrackedFace> {
        let Sighting { track_id, face, age } = sighting;
        let least = self.threshold.map_or(0.0, |threshold| threshold.threshold);
        let uncertainty = self.engine.model().uncertainty();
        let prior = uncertainty.prior();
        let (options, classes) = (&self.options, prior.classes());
        let person = match self.people.entry(track_id) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Person {
                window: Window::new(options.window.clone(), classes, prior.feature_size())?,
                steadier: Steadier::new(options.steady.clone(), classes, least)?,
            }),
        };
        let Prediction { feature, logits, probabilities, .. } = &prediction;
        person.window.expire(time);
        let sums = Some(person.window.sums());
        let window_score = uncertainty.confidence(feature, logits, sums).score;
        let news = person.window.push(feature, probabilities, time)?;
        let Steadied { probabilities, score, answer: steadied } =
            person.steadier.update(probabilities, window_score, time)?;
        Ok(TrackedFace {
            track_id,
            face,
            answer: answer(prediction.class_index, prediction.score, least),
            prediction,
            window_score,
            steadied_probabilities: probabilities,
            steadied_score: score,
            steadied,
            age,
            news,
        })
    }
}

impl SessionOptions {
    /// Checks every option.
    ///
    /// # Errors
    /// [`SessionError::Option`] names the first that is out of range.
    pub fn check(&self) -> Result<(), SessionError> {
        self.window.check()?;
        self.tracking.check()?;
        self.steady.check()?;
        match self.tolerated_error {
            Some(rate) if !(rate > 0.0 && rate < 1.0) => {
                SessionError::unless(false, "tolerated_error", rate, "above 0 and below 1")
            }
            _ => Ok(()),
        }
    }
}

/// The tracker's view of one frame.
struct Eyes<'a> {
    engine: &'a Engine,
    follower: &'a Follower,
    frame: &'a FrameView<'a>,
    timings: &'a mut Timings,
    searched: bool,
}

impl FaceSource for Eyes<'_> {
    fn search(&mut self) -> Result<Vec<Face>> {
        self.searched = true;
        self.engine.detect(self.frame, self.timings)
    }

    fn look_near(&mut self, last: &FaceBox) -> Result<Vec<Face>> {
        let follow = || self.follower.look_near(self.frame, last);
        crate::engine::timed(&mut self.timings.detect_ms, follow)
    }
}
