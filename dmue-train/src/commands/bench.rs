//! `dmue-train bench`

use std::path::PathBuf;

use dmue_train::config::{Config, Precision};
use dmue_train::{Error, Result, bench, device};

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Settings to time (TOML); may be given several times.
    #[arg(long)]
    config: Vec<PathBuf>,
    /// Shipped settings to time; may be given several times.
    #[arg(long)]
    model: Vec<String>,
    /// Number of classes.
    #[arg(long, default_value_t = 8)]
    classes: usize,
    /// Steps to time, after three that are not.
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// What maps are computed in, in place of the settings'.
    #[arg(long)]
    precision: Option<Precision>,
    /// Threads of libtorch's operations; as many as it chooses where not given.
    #[arg(long)]
    threads: Option<i32>,
    /// One JSON object a line in place of text.
    #[arg(long)]
    json: bool,
}

/// Times one config after the other and prints a line for each.
#[expect(clippy::print_stdout, reason = "the figures are the command's output")]
pub fn run(arguments: &Arguments) -> Result<()> {
    check(arguments)?;
    let device = device::pick();
    if let Some(threads) = arguments.threads {
        tch::set_num_threads(threads);
    }
    eprintln!("device: {}", device::describe(device));
    let named = arguments.model.iter().map(|name| Config::named(name));
    let read = arguments.config.iter().map(|path| Config::read(path));
    for config in named.chain(read) {
        let mut config = config?;
        config.precision = arguments.precision.unwrap_or(config.precision);
        let throughput = bench::measure(&config, arguments.classes, arguments.steps, device)?;
        if arguments.json {
            let json = serde_json::to_string(&throughput);
            println!("{}", json.map_err(|error| Error::Config(error.to_string()))?);
        } else {
            println!("{throughput}");
        }
    }
    Ok(())
}

fn check(arguments: &Arguments) -> Result<()> {
    let refuse = |text: String| Err(Error::Config(text));
    if arguments.model.is_empty() && arguments.config.is_empty() {
        return refuse("nothing to time: give --model NAME or --config FILE".into());
    }
    if arguments.steps == 0 {
        return refuse("--steps 0: must be 1 or more".into());
    }
    if arguments.classes < 2 {
        return refuse(format!("--classes {}: must be 2 or more", arguments.classes));
    }
    match arguments.threads {
        Some(threads) if threads < 1 => refuse(format!("--threads {threads}: must be 1 or more")),
        _ => Ok(()),
    }
}
