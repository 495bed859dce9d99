//! What a data set holds: counts per class, image sizes, repeated images.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display, Formatter};

use dmue_edge::model::Colour;

use super::dataset::Source;
use super::sample::{CropSpec, Sample};

/// Images are compared, and shown on a sheet, at this size: images whose crops are equal are one.
pub const SPEC: CropSpec = CropSpec { size: 48, colour: Colour::Rgb };

/// This many pairs of repeated images are named.
const EXAMPLES: usize = 3;
/// This many image sizes are listed before they are summed up.
const SIZES: usize = 6;

/// What is said about the parts of one or two sets.
#[derive(Debug)]
pub struct Inspection {
    /// One per part.
    pub parts: Vec<Part>,
    /// One per pair of parts that share images.
    pub shared: Vec<Shared>,
}

/// One part of a set.
#[derive(Debug)]
pub struct Part {
    /// How the user would name it.
    pub name: String,
    /// What the reader left out.
    pub summary: String,
    /// Class names and their numbers of faces.
    pub counts: Vec<(String, usize)>,
    /// Width and height of the images, with their numbers.
    pub sizes: BTreeMap<[u32; 2], usize>,
    /// Images that stand earlier in the part.
    pub repeats: Repeats,
}

/// Images of one part that stand in another.
#[derive(Debug)]
pub struct Shared {
    /// The names of both.
    pub names: [String; 2],
    /// The second's images that stand in the first.
    pub repeats: Repeats,
}

/// Images that were seen before.
#[derive(Debug, Default)]
pub struct Repeats {
    /// How many.
    pub images: usize,
    /// How many of them have another label than the first of their kind.
    pub contradictions: usize,
    /// Names of the first few pairs.
    pub examples: Vec<[String; 2]>,
}

/// Looks through named sources that were opened with [`SPEC`].
pub fn inspect(sources: &[(String, Source)]) -> Inspection {
    let parts = sources.iter().map(|(name, source)| part(name, source)).collect();
    let mut shared = vec![];
    for (place, (name, first)) in sources.iter().enumerate() {
        let seen = Seen::of(first);
        for (other, second) in &sources[place + 1..] {
            let mut repeats = Repeats::default();
            for sample in &second.samples {
                if let Some(earlier) = seen.find(sample) {
                    repeats.add(first, earlier, second, sample);
                }
            }
            if repeats.images > 0 {
                shared.push(Shared { names: [name.clone(), other.clone()], repeats });
            }
        }
    }
    Inspection { parts, shared }
}

fn part(name: &str, source: &Source) -> Part {
    let (mut seen, mut repeats) = (Seen(HashMap::new()), Repeats::default());
    let (mut counts, mut sizes) = (vec![0; source.classes.len()], BTreeMap::new());
    for sample in &source.samples {
        counts[sample.label] += 1;
        *sizes.entry(sample.original).or_default() += 1;
        match seen.find(sample) {
            Some(earlier) => repeats.add(source, earlier, source, sample),
            None => seen.add(sample),
        }
    }
    Part {
        name: name.into(),
        summary: source.summary.clone(),
        counts: source.classes.iter().cloned().zip(counts).collect(),
        sizes,
        repeats,
    }
}

/// The first sample of each picture.
struct Seen<'a>(HashMap<&'a [u8], &'a Sample>);

impl<'a> Seen<'a> {
    fn of(source: &'a Source) -> Self {
        let mut seen = Self(HashMap::new());
        source.samples.iter().for_each(|sample| seen.add(sample));
        seen
    }

    fn find(&self, sample: &Sample) -> Option<&'a Sample> {
        self.0.get(sample.crop.pixels.as_slice()).copied()
    }

    fn add(&mut self, sample: &'a Sample) {
        self.0.entry(&sample.crop.pixels).or_insert(sample);
    }
}

impl Repeats {
    fn add(&mut self, first: &Source, earlier: &Sample, second: &Source, sample: &Sample) {
        self.images += 1;
        let differs = first.classes[earlier.label] != second.classes[sample.label];
        self.contradictions += usize::from(differs);
        if self.examples.len() < EXAMPLES {
            self.examples.push([earlier.name.clone(), sample.name.clone()]);
        }
    }
}

impl Display for Inspection {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| write!(out, "{part}"))?;
        for Shared { names: [first, second], repeats } in &self.shared {
            writeln!(out, "{second}: {repeats} that stand in {first}")?;
            repeats.list(out)?;
        }
        match (self.parts.len(), self.shared.is_empty()) {
            (2.., true) => {
                writeln!(out, "no image stands in two of the {} parts", self.parts.len())
            }
            _ => Ok(()),
        }
    }
}

impl Display for Part {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.name)?;
        writeln!(out, "  {}", self.summary)?;
        let width = self.counts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let total: usize = self.counts.iter().map(|(_, count)| count).sum();
        for (class, count) in &self.counts {
            let share = 100. * *count as f64 / total.max(1) as f64;
            writeln!(out, "  {class:width$} {count:>7} {share:5.1} %")?;
        }
        writeln!(out, "  image sizes: {}", self.sizes_in_words())?;
        writeln!(out, "  {} that stand earlier", self.repeats)?;
        self.repeats.list(out)
    }
}

impl Part {
    fn sizes_in_words(&self) -> String {
        let text =
            |([width, height], count): (&[u32; 2], &usize)| format!("{width}x{height} ({count})");
        if self.sizes.len() <= SIZES {
            return self.sizes.iter().map(text).collect::<Vec<_>>().join(", ");
        }
        let bound = |pick: fn([u32; 2]) -> u32| {
            let sides = self.sizes.keys().map(|size| pick(*size));
            sides.clone().min().zip(sides.max()).unwrap_or_default()
        };
        let (width, height) = (bound(|[width, _]| width), bound(|[_, height]| height));
        let common = self.sizes.iter().max_by_key(|(_, count)| **count).map(text);
        format!(
            "{} different, width {}..={}, height {}..={}, most often {}",
            self.sizes.len(),
            width.0,
            width.1,
            height.0,
            height.1,
            common.unwrap_or_default()
        )
    }
}

impl Display for Repeats {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{} images ({} with another label)", self.images, self.contradictions)
    }
}

impl Repeats {
    fn list(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.examples.iter().try_for_each(|[first, second]| writeln!(out, "    {first} = {second}"))
    }
}
