//! `dmue-train distill`

use std::path::PathBuf;

use dmue_train::Result;

use super::fit;

/// Arguments of `distill`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An exported model of the same classes; may be given several times: their mean answer is learnt.
    #[arg(long, required_unless_present = "resume", conflicts_with = "resume")]
    teacher: Vec<PathBuf>,
    #[command(flatten)]
    fit: fit::Arguments,
}

/// Trains as `fit` does, from the teachers' answers, too.
pub fn run(arguments: Arguments) -> Result<()> {
    fit::train(arguments.fit, arguments.teacher)
}
