//! Small runs of the real command: pictures to train on, settings, child processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dmue_train::config::Config;
use dmue_train::train::checkpoint;
use image::{GrayImage, Luma};
use tch::Tensor;

use super::Draws;

/// Class folders of [`Run`].
pub const CLASSES: [&str; 3] = ["dark", "gray", "light"];
const SIZE: usize = 24;

/// Data and settings of a run that takes seconds.
pub struct Run {
    files: tempfile::TempDir,
    pub config: Config,
}

impl Run {
    /// 24 pictures of each class to train on, 8 to validate.
    pub fn new(epochs: usize) -> Self {
        let files = tempfile::tempdir().unwrap();
        for (split, per_class, seed) in [("train", 24, 1), ("valid", 8, 2)] {
            let mut draws = Draws::new(seed);
            for (label, class) in CLASSES.iter().enumerate() {
                let folder = files.path().join(split).join(class);
                std::fs::create_dir_all(&folder).unwrap();
                for index in 0..per_class {
                    let mut pixel = || (60. + 70. * label as f64 + draws.spread(30.)) as u8;
                    let pixels: Vec<u8> = (0..SIZE * SIZE).map(|_| pixel()).collect();
                    save(&folder.join(format!("{index:02}.png")), &pixels, SIZE);
                }
            }
        }
        let mut config = Config::named("tiny").unwrap();
        config.epochs = epochs;
        config.model.dropout = 0.; // learns within a few epochs
        Self { files, config }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// `dmue-train fit` into the folder `out`, with the settings as they are now.
    pub fn fit(&self, out: &str) -> Command {
        let config = self.path("config.toml");
        std::fs::write(&config, self.config.to_toml().unwrap()).unwrap();
        let mut command = program(&["fit"]);
        command.arg("--data").arg(self.path("train")).arg("--valid").arg(self.path("valid"));
        command.arg("--config").arg(config).arg("--out").arg(self.path(out));
        command
    }

    /// `dmue-train fit --resume` of the folder `out`.
    pub fn resume(&self, out: &str) -> Command {
        let mut command = program(&["fit", "--resume"]);
        command.arg("--out").arg(self.path(out));
        command
    }

    /// `dmue-train export` of the folder `run`.
    pub fn export(&self, run: &str, file: &Path) -> Command {
        let mut command = program(&["export"]);
        command.arg("--run").arg(self.path(run)).arg("--out").arg(file);
        command
    }

    /// The checkpoints' folder of the run `out`.
    pub fn checkpoints(&self, out: &str) -> PathBuf {
        self.path(out).join("checkpoints")
    }

    /// The tensors of a run's newest checkpoint by name.
    pub fn newest(&self, out: &str) -> Vec<(String, Tensor)> {
        tensors(&checkpoint::newest(&self.checkpoints(out)).unwrap())
    }
}

/// Writes a square gray picture.
pub fn save(path: &Path, pixels: &[u8], size: usize) {
    let picture = GrayImage::from_fn(size as u32, size as u32, |x, y| {
        Luma([pixels[y as usize * size + x as usize]])
    });
    picture.save(path).unwrap();
}

/// A checkpoint's tensors by name.
pub fn tensors(file: &Path) -> Vec<(String, Tensor)> {
    let mut tensors = Tensor::read_safetensors(file).unwrap();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

/// The command of this build; one thread, as a tiny network loses more to waiting than it gains.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmue-train"));
    command.args(arguments).env("OMP_NUM_THREADS", "1");
    command
}

/// Runs to the end; the output's stderr as text.
pub fn finish(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, text)
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> String {
    let (output, text) = finish(command);
    assert!(output.status.success(), "{text}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &text
}

/// Runs a command that must end with an error message, and with no panic.
pub fn refuse(command: &mut Command) -> String {
    let (output, text) = finish(command);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: ") && !text.contains("panicked"), "{text}");
    text
}
