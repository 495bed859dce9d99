//! The window against sums made from scratch, and what enters it.

use proptest::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::model::fixture::{generator, uncertainty, values};

const CLASSES: usize = 3;
const FEATURE_SIZE: usize = 4;

fn options(frames: usize) -> WindowOptions {
    // Everything is news, nothing is too old.
    WindowOptions { frames, age: Duration::MAX, news_cosine: 1.0, news_interval: Duration::ZERO }
}

fn window(options: WindowOptions) -> Window {
    Window::new(options, CLASSES, FEATURE_SIZE).unwrap()
}

fn seconds(seconds: f32) -> Duration {
    Duration::from_secs_f32(seconds)
}

fn frame(generator: &mut ChaCha8Rng) -> (Vec<f32>, Vec<f32>) {
    let feature = values(generator, FEATURE_SIZE);
    let raw: Vec<f32> = (0..CLASSES).map(|_| generator.random_range(0.01..1.0)).collect();
    let total: f32 = raw.iter().sum();
    (feature, raw.iter().map(|value| value / total).collect())
}

/// `s_i = sum p_i f` and `n_i = sum p_i`, from scratch.
fn naive<'a>(frames: impl Iterator<Item = &'a (Vec<f32>, Vec<f32>)>) -> ClassSums {
    let mut sums = vec![0.0_f64; CLASSES * FEATURE_SIZE];
    let mut counts = vec![0.0_f64; CLASSES];
    for (feature, probabilities) in frames {
        for (i, probability) in probabilities.iter().enumerate() {
            counts[i] += f64::from(*probability);
            for (d, value) in unit(feature).iter().enumerate() {
                sums[i * FEATURE_SIZE + d] += f64::from(*probability) * f64::from(*value);
            }
        }
    }
    let round = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    ClassSums { sums: round(sums), counts: round(counts) }
}

fn difference(a: &ClassSums, b: &ClassSums) -> f32 {
    let pairs = a.sums.iter().zip(&b.sums).chain(a.counts.iter().zip(&b.counts));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_million_frames_leave_the_sums_of_the_last_thousand() {
    let mut generator = generator(1);
    let mut window = window(options(1000));
    let mut kept = VecDeque::new();
    for _ in 0..1_000_000 {
        let (feature, probabilities) = frame(&mut generator);
        assert!(window.push(&feature, &probabilities, Duration::ZERO).unwrap());
        kept.push_back((feature, probabilities));
        if kept.len() > 1001 {
            kept.pop_front();
        }
    }
    assert_eq!(window.len(), 1000);
    let off = difference(window.sums(), &naive(kept.iter().take(1000)));
    // 1e-5 of sums of up to a thousand: f32 itself is good to 3e-5 there.
    assert!(off / 1000.0 <= 1e-5, "the sums are off by {off}");
    let exact = kept.iter().take(1000).flat_map(|(_, p)| p).map(|p| f64::from(*p)).sum::<f64>();
    let count: f64 = window.counts.iter().sum();
    assert!((count - exact).abs() < 1e-8, "{count} against {exact}");
    // Similarities are what the sums are for.
    let prior = uncertainty(2, CLASSES, FEATURE_SIZE, 5);
    let f = unit(&values(&mut generator, FEATURE_SIZE));
    let similarity = |sums| crate::uncertainty::similarity(&f, prior.prior(), Some(sums));
    let (ours, theirs) = (similarity(window.sums()), similarity(&naive(kept.iter().take(1000))));
    assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() <= 1e-5));
}

#[test]
fn the_last_news_waits_until_other_news_has_come() {
    let mut window = window(options(10));
    window.push(&[1.0, 0.0, 0.0, 0.0], &[1.0, 0.0, 0.0], Duration::ZERO).unwrap();
    assert!(window.is_empty());
    assert_eq!(window.sums().counts, [0.0; 3]);
    window.push(&[0.0, 3.0, 0.0, 0.0], &[0.0, 1.0, 0.0], Duration::ZERO).unwrap();
    assert_eq!(window.len(), 1);
    assert_eq!(window.sums().counts, [1.0, 0.0, 0.0]);
    assert_eq!(window.sums().sums[..4], [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_frame_is_news_when_it_differs_or_after_a_while() {
    let mut window =
        window(WindowOptions { news_cosine: 0.8, news_interval: seconds(5.0), ..options(10) });
    let mut push = |x: f32, y: f32, time| {
        window.push(&[x, y, 0.0, 0.0], &[1.0, 0.0, 0.0], seconds(time)).unwrap()
    };
    assert!(push(1.0, 0.0, 0.0), "the first one");
    assert!(!push(1.0, 0.5, 1.0), "cosine 0.89");
    assert!(push(1.0, 0.8, 2.0), "cosine 0.78");
    assert!(!push(7.0, 5.6, 6.9), "the same but for its length");
    assert!(push(7.0, 5.6, 7.0), "5 s later");
    assert!(!push(1.0, 0.8, 7.0), "no time passed");
}

#[test]
fn frames_leave_by_count_and_by_age() {
    let mut window = window(WindowOptions { age: seconds(10.0), ..options(2) });
    for (time, class) in [(0.0, 0), (1.0, 1), (2.0, 1), (3.0, 2)] {
        let mut probabilities = [0.0; 3];
        probabilities[class] = 1.0;
        window.push(&[1.0; 4], &probabilities, seconds(time)).unwrap();
    }
    assert_eq!(window.sums().counts, [0.0, 2.0, 0.0], "two count, the last one waits");
    window.expire(seconds(11.0));
    assert_eq!(window.sums().counts, [0.0, 2.0, 0.0], "10 s are not too old");
    window.expire(seconds(11.1));
    assert_eq!(window.sums().counts, [0.0, 1.0, 0.0]);
    window.expire(seconds(60.0));
    assert_eq!(*window.sums(), naive([].iter()));
    assert!(window.push(&[1.0; 4], &[1.0, 0.0, 0.0], seconds(60.0)).unwrap());
    assert!(window.is_empty(), "the waiting one was too old to count");
}

#[test]
fn no_window_keeps_nothing() {
    let mut window = window(options(0));
    assert!(!window.push(&[1.0; 4], &[1.0, 0.0, 0.0], Duration::ZERO).unwrap());
    assert!(window.is_empty());
}

#[test]
fn a_cleared_window_is_a_new_one() {
    let mut window = window(options(5));
    for _ in 0..3 {
        window.push(&[1.0; 4], &[1.0, 0.0, 0.0], seconds(9.0)).unwrap();
    }
    window.clear();
    assert_eq!(*window.sums(), naive([].iter()));
    assert!(window.push(&[1.0; 4], &[1.0, 0.0, 0.0], Duration::ZERO).unwrap());
}

#[test]
fn bad_frames_are_refused_and_change_nothing() {
    let mut window = window(options(5));
    for second in 1..4 {
        window.push(&[1.0; 4], &[1.0, 0.0, 0.0], Duration::from_secs(second)).unwrap();
    }
    let before = window.sums().clone();
    let bad: [(&[f32], &[f32], f32, &str); 5] = [
        (&[1.0; 3], &[1.0, 0.0, 0.0], 4.0, "feature has 3 values where 4"),
        (&[1.0; 4], &[1.0; 4], 4.0, "probabilities has 4 values where 3"),
        (&[f32::NAN; 4], &[1.0, 0.0, 0.0], 4.0, "feature holds NaN"),
        (&[1.0; 4], &[f32::INFINITY, 0.0, 0.0], 4.0, "probabilities holds inf"),
        (&[1.0; 4], &[1.0, 0.0, 0.0], 2.5, "2.5s is earlier than 3s"),
    ];
    for (feature, probabilities, time, words) in bad {
        let error = window.push(feature, probabilities, seconds(time)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(*window.sums(), before);
}

#[test]
fn options_out_of_range_are_named() {
    let bad = [
        ("window.frames", WindowOptions { frames: MOST_FRAMES + 1, ..options(1) }),
        ("window.age", WindowOptions { age: Duration::ZERO, ..options(1) }),
        ("window.news_cosine", WindowOptions { news_cosine: 1.5, ..options(1) }),
        ("window.news_cosine", WindowOptions { news_cosine: f32::NAN, ..options(1) }),
    ];
    for (expected, options) in bad {
        match Window::new(options, CLASSES, FEATURE_SIZE) {
            Err(SessionError::Option { name, .. }) => assert_eq!(name, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

/// A face filed under the wrong class for 300 frames at 15 a second, in a class that it resembles
/// little: the score that its own past gives it, against no window.
#[test]
fn a_steady_wrong_label_does_not_confirm_itself() {
    let mut generator = generator(5);
    for seed in 0..20 {
        let uncertainty = uncertainty(seed, CLASSES, FEATURE_SIZE, 5);
        let (feature, probabilities) = frame(&mut generator);
        let mut window = window(WindowOptions { frames: 200, ..WindowOptions::default() });
        let logits: Vec<f32> = probabilities.iter().map(|p| p.ln()).collect();
        let alone = uncertainty.confidence(&feature, &logits, None).score;
        for number in 0..300 {
            let shaken: Vec<f32> =
                feature.iter().map(|v| v + generator.random_range(-0.05..0.05)).collect();
            let time = seconds(number as f32 / 15.0);
            window.expire(time);
            let seen = uncertainty.confidence(&feature, &logits, Some(window.sums())).score;
            assert!(seen - alone <= 0.05, "seed {seed}, frame {number}: {alone} to {seen}");
            window.push(&shaken, &probabilities, time).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn any_stream_gives_the_sums_of_what_counts(
        seed in any::<u64>(),
        steps in prop::collection::vec(0f32..3.0, 1..60),
        frames in 1usize..8,
        (age, cosine) in (1f32..20.0, -1f32..1.0),
    ) {
        let mut generator = generator(seed);
        let options = WindowOptions {
            frames,
            age: seconds(age),
            news_cosine: cosine,
            news_interval: seconds(4.0),
        };
        let mut window = window(options);
        let (mut time, mut news) = (Duration::ZERO, Vec::new());
        for step in steps {
            time += seconds(step);
            let (feature, probabilities) = frame(&mut generator);
            if window.push(&feature, &probabilities, time).unwrap() {
                news.push((time, (feature, probabilities)));
            }
        }
        news.pop(); // it waits
        let oldest = time.saturating_sub(seconds(age));
        let young = news.iter().filter(|(time, _)| *time >= oldest).map(|(_, frame)| frame);
        let young: Vec<_> = young.collect();
        let kept = young.len().saturating_sub(frames);
        prop_assert_eq!(window.len(), young.len() - kept);
        let off = difference(window.sums(), &naive(young.into_iter().skip(kept)));
        prop_assert!(off <= 1e-5, "off by {}", off);
    }
}
