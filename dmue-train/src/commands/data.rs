//! `dmue-train data`

use clap::Subcommand;
use dmue_train::Result;

use super::{data_crop, data_inspect};

/// What to do with faces before training.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Count classes, sizes and repeated images, and draw a contact sheet.
    Inspect(data_inspect::Arguments),
    /// Cut faces out of photos as the device will.
    Crop(data_crop::Arguments),
}

/// Does it.
pub fn run(arguments: &Arguments) -> Result<()> {
    match arguments {
        Arguments::Inspect(arguments) => data_inspect::run(arguments),
        Arguments::Crop(arguments) => data_crop::run(arguments),
    }
}
