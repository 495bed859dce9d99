//! Starts from weights of other people's layouts and files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::difference;
use common::start::{Network, TWO, Tensors, range, refusal, write};
use tch::{Device, Kind, Tensor};

/// Weights with the names and shapes of torchvision's state dicts, drawn at random.
struct Layout {
    tensors: Tensors,
    width: f64,
}

impl Layout {
    fn new(width: f64) -> Self {
        tch::manual_seed(7);
        Self { tensors: Tensors::new(), width }
    }

    fn channels(&self, channels: i64) -> i64 {
        (channels as f64 * self.width) as i64
    }

    fn set(&mut self, name: String, tensor: Tensor) {
        assert!(self.tensors.insert(name.clone(), tensor).is_none(), "{name} twice");
    }

    fn draw(size: &[i64]) -> Tensor {
        Tensor::randn(size, (Kind::Float, Device::Cpu))
    }

    fn convolution(&mut self, name: &str, [output, input]: [i64; 2], kernel: i64) {
        let deviation = (2. / (input * kernel * kernel) as f64).sqrt();
        self.set(
            format!("{name}.weight"),
            Self::draw(&[output, input, kernel, kernel]) * deviation,
        );
    }

    fn norm(&mut self, name: &str, channels: i64) {
        self.set(format!("{name}.weight"), Self::draw(&[channels]) * 0.2 + 1.);
        self.set(format!("{name}.bias"), Self::draw(&[channels]) * 0.2);
        self.set(format!("{name}.running_mean"), Self::draw(&[channels]) * 0.2);
        self.set(format!("{name}.running_var"), Self::draw(&[channels]).square() + 0.5);
        self.set(format!("{name}.num_batches_tracked"), Tensor::from(7i64));
    }

    fn linear(&mut self, name: &str, inputs: i64) {
        self.set(format!("{name}.weight"), Self::draw(&[1000, inputs]));
        self.set(format!("{name}.bias"), Self::draw(&[1000]));
    }

    /// `bottleneck` as in ResNet-50; `ibn` as in IBN-Net's.
    fn resnet(width: f64, blocks: [usize; 4], bottleneck: bool, ibn: bool) -> Tensors {
        let mut layout = Self::new(width);
        let mut input = layout.channels(64);
        layout.convolution("conv1", [input, 3], 7);
        layout.norm("bn1", input);
        for (stage, count) in blocks.into_iter().enumerate() {
            let inner = layout.channels(64 << stage);
            let output = if bottleneck { 4 * inner } else { inner };
            for block in 0..count {
                let name = format!("layer{}.{block}", stage + 1);
                let half = ibn && stage < 3;
                layout.resnet_block(&name, [input, inner, output], bottleneck, half);
                if block == 0 && (stage > 0 || input != output) {
                    layout.convolution(&format!("{name}.downsample.0"), [output, input], 1);
                    layout.norm(&format!("{name}.downsample.1"), output);
                }
                input = output;
            }
        }
        layout.linear("fc", input);
        layout.tensors
    }

    fn resnet_block(&mut self, name: &str, channels: [i64; 3], bottleneck: bool, half: bool) {
        let [input, inner, output] = channels;
        let kernels: &[(i64, [i64; 2])] = match bottleneck {
            true => &[(1, [inner, input]), (3, [inner, inner]), (1, [output, inner])],
            false => &[(3, [inner, input]), (3, [output, inner])],
        };
        for (index, &(kernel, channels)) in kernels.iter().enumerate() {
            self.convolution(&format!("{name}.conv{}", index + 1), channels, kernel);
            let norm = format!("{name}.bn{}", index + 1);
            if half && index == 0 {
                self.norm(&format!("{norm}.BN"), inner / 2);
                self.set(format!("{norm}.IN.weight"), Self::draw(&[inner / 2]) + 1.);
                self.set(format!("{norm}.IN.bias"), Self::draw(&[inner / 2]));
            } else {
                self.norm(&norm, channels[0]);
            }
        }
    }

    fn mobilenet_v2() -> Tensors {
        let mut layout = Self::new(1.);
        layout.pair("features.0", ["0", "1"], [32, 3], 3);
        let mut input = 32;
        let outputs = [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320];
        for (index, output) in outputs.into_iter().enumerate() {
            let name = format!("features.{}.conv", index + 1);
            let inner = if index == 0 { input } else { 6 * input };
            let mut next = 0;
            if index > 0 {
                layout.pair(&name, ["0.0", "0.1"], [inner, input], 1);
                next = 1;
            }
            let depthwise = [format!("{next}.0"), format!("{next}.1")];
            layout.pair(&name, depthwise.each_ref().map(String::as_str), [inner, 1], 3);
            let project = [format!("{}", next + 1), format!("{}", next + 2)];
            layout.pair(&name, project.each_ref().map(String::as_str), [output, inner], 1);
            input = output;
        }
        layout.pair("features.18", ["0", "1"], [1280, 320], 1);
        layout.linear("classifier.1", 1280);
        layout.tensors
    }

    fn pair(&mut self, name: &str, parts: [&str; 2], channels: [i64; 2], kernel: i64) {
        self.convolution(&format!("{name}.{}", parts[0]), channels, kernel);
        self.norm(&format!("{name}.{}", parts[1]), channels[0]);
    }
}

fn is_trained(name: &str) -> bool {
    !name.contains("running") && !name.ends_with("num_batches_tracked")
}

fn count(tensors: &Tensors) -> usize {
    tensors.iter().filter(|(name, _)| is_trained(name)).map(|(_, tensor)| tensor.numel()).sum()
}

/// ResNet-18 by torchvision's names, with the stem of method.md section 1: no activation and a 2x2
/// pooling; up to the pooled feature.
fn reference(tensors: &Tensors, images: &Tensor) -> Tensor {
    let convolution = |value: &Tensor, name: &str, stride: i64, padding: i64| {
        let weight = &tensors[&format!("{name}.weight")];
        value.conv2d(weight, None::<&Tensor>, [stride; 2], [padding; 2], [1, 1], 1)
    };
    let norm = |value: &Tensor, name: &str| {
        let [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| tensors[&format!("{name}.{part}")].view([1, -1, 1, 1]));
        (value - mean) / (variance + 1e-5).sqrt() * weight + bias
    };
    let stem = norm(&convolution(images, "conv1", 2, 3), "bn1");
    let mut value = stem.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
    for stage in 1..=4 {
        for block in 0..2 {
            let name = format!("layer{stage}.{block}");
            let stride = if stage > 1 && block == 0 { 2 } else { 1 };
            let first = convolution(&value, &format!("{name}.conv1"), stride, 1);
            let first = norm(&first, &format!("{name}.bn1")).relu();
            let second = convolution(&first, &format!("{name}.conv2"), 1, 1);
            let second = norm(&second, &format!("{name}.bn2"));
            if tensors.contains_key(&format!("{name}.downsample.0.weight")) {
                value = convolution(&value, &format!("{name}.downsample.0"), stride, 0);
                value = norm(&value, &format!("{name}.downsample.1"));
            }
            value = (second + value).relu();
        }
    }
    value.mean_dim([2i64, 3].as_slice(), false, Kind::Float)
}

#[test]
fn torchvisions_resnet18_computes_the_same_in_every_branch() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("resnet18.safetensors");
    let tensors = Layout::resnet(1., [2, 2, 2, 2], false, false);
    assert_eq!(count(&tensors), 11_689_512); // as torchvision states
    write(&tensors, &file);
    let network = Network::new("resnet18", 3, 128, 1., &TWO);
    let report = network.start(&file).unwrap();
    assert_eq!(report.matched.len(), 20, "{report}");
    assert_eq!(report.unused, ["fc.bias", "fc.weight"]);
    assert!(report.left_out.iter().all(|(name, _)| !name.starts_with("stem")), "{report}");
    assert!(report.to_string().contains("heads.target: no `heads.target` in the file"), "{report}");

    let images = Tensor::randn([2, 3, 128, 128], (Kind::Float, Device::Cpu));
    let expected = reference(&tensors, &images);
    let found = network.model.forward_target(&images).feature;
    assert!(difference(&found, &expected) < 1e-4 * range(&expected));
    let branches = network.variable("branch.layer4.1.conv2.weight");
    let target = branches.narrow(0, 1024, 512);
    assert!(target.equal(&branches.narrow(0, 0, 512)));
    assert!(target.equal(&tensors["layer4.1.conv2.weight"]));
}

#[test]
fn weights_of_a_colour_network_see_gray_as_they_saw_gray_in_colour() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("resnet18.safetensors");
    write(&Layout::resnet(0.125, [2, 2, 2, 2], false, false), &file);
    let [gray, colour] =
        [1, 3].map(|channels| Network::new("resnet18", channels, 104, 0.125, &TWO));
    let report = gray.start(&file).unwrap();
    assert_eq!(report.matched[0], ("stem.conv".into(), Some("colours summed up")));
    colour.start(&file).unwrap();
    let image = Tensor::randn([2, 1, 104, 104], (Kind::Float, Device::Cpu));
    let expected = colour.model.forward_target(&image.repeat([1, 3, 1, 1])).feature;
    let found = gray.model.forward_target(&image).feature;
    assert!(difference(&found, &expected) < 1e-4 * range(&expected));
}

#[test]
fn what_does_not_fit_is_left_out_whole_and_said() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("resnet18.safetensors");
    let mut tensors = Layout::resnet(0.125, [2, 2, 2, 2], false, false);
    tensors.remove("layer1.0.bn2.running_var");
    write(&tensors, &file);
    let network = Network::new("resnet18", 1, 48, 0.125, &TWO);
    let before = network.variable("stem.conv.weight").copy();
    let report = network.start(&file).unwrap().to_string();
    let stem = "stem.conv: its weight is [8, 1, 7, 7] in the file, needed is [8, 1, 3, 3]";
    let norm = "stem.layer1.0.conv2: no `layer1.0.bn2.running_var` in the file";
    assert!(report.contains(stem) && report.contains(norm), "{report}");
    assert!(network.variable("stem.conv.weight").equal(&before));
    let mean = network.variable("stem.conv.running_mean");
    assert_eq!(mean.abs().max().double_value(&[]), 0., "a norm without its convolution");
}

#[test]
fn names_of_torchvisions_other_networks_and_of_ibn_net_match() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("weights.safetensors");
    let head = |prefix: &str| [format!("{prefix}.bias"), format!("{prefix}.weight")];
    let mobilenet = Layout::mobilenet_v2();
    assert_eq!(count(&mobilenet), 3_504_872); // as torchvision states
    let cases = [
        ("mobilenet_v2", 1., mobilenet, 52, "classifier.1", 0),
        ("resnet50_ibn", 0.125, Layout::resnet(0.125, [3, 4, 6, 3], true, false), 53, "fc", 13),
        ("resnet50_ibn", 0.125, Layout::resnet(0.125, [3, 4, 6, 3], true, true), 53, "fc", 0),
    ];
    for (name, width, tensors, convolutions, rest, adapted) in cases {
        write(&tensors, &file);
        let network = Network::new(name, 3, 112, width, &TWO);
        let report = network.start(&file).unwrap();
        assert_eq!(report.matched.len(), convolutions, "{report}");
        assert_eq!(report.unused, head(rest), "{name}");
        let notes = report.matched.iter().filter(|(_, note)| note.is_some()).count();
        assert_eq!(notes, adapted, "{report}");
    }
}

/// The start of a ResNet-18 of an eighth of the width, see `golden/state_dict.py`.
#[test]
fn state_dicts_as_pytorch_pickles_them() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let weight = Tensor::arange(8 * 3 * 7 * 7, (Kind::Float, Device::Cpu)) / 1024.;
    // In float16 the larger values lose their last bits.
    for (name, weight, unused) in [
        ("state_dict.pt", weight.copy(), &[][..]),
        ("checkpoint.pt", weight.to_kind(Kind::Half).to_kind(Kind::Float), &[]),
    ] {
        let network = Network::new("resnet18", 3, 104, 0.125, &TWO);
        let report = network.start(&golden.join(name)).unwrap();
        assert_eq!(report.matched, [("stem.conv".into(), None)], "{report}");
        assert_eq!(report.unused, unused as &[&str], "{report}");
        assert!(network.variable("stem.conv.weight").flatten(0, -1).equal(&weight), "{name}");
        assert_eq!(network.variable("stem.conv.running_var").double_value(&[7]), 1.875);
        assert_eq!(network.variable("stem.conv.norm_bias").double_value(&[7]), 0.25);
    }
}

/// A file cut off at any place is refused or, where only the archive's directory is behind the cut,
/// not: never a panic.
#[test]
fn a_damaged_state_dict_is_refused() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("cut.pt");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/state_dict.pt");
    let bytes = std::fs::read(golden).unwrap();
    let network = Network::new("resnet18", 3, 104, 0.125, &TWO);
    for length in (0..bytes.len()).step_by(97) {
        std::fs::write(&file, &bytes[..length]).unwrap();
        assert!(refusal(&network, &file).contains("safetensors"));
    }
    for place in (0..bytes.len()).step_by(53) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x55;
        std::fs::write(&file, &damaged).unwrap();
        let _ = network.start(&file); // an unused byte may have been hit
    }
}

#[test]
fn what_libtorch_itself_saves_is_read() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("resnet18.ot");
    let tensors = Layout::resnet(0.125, [2, 2, 2, 2], false, false);
    // TorchScript has no dots in names; libtorch's own files write bars.
    let pairs: Vec<_> =
        tensors.iter().map(|(name, tensor)| (name.replace('.', "|"), tensor)).collect();
    Tensor::save_multi(&pairs, &file).unwrap();
    let network = Network::new("resnet18", 3, 104, 0.125, &TWO);
    assert_eq!(network.start(&file).unwrap().matched.len(), 20);
}

#[test]
fn files_that_cannot_serve_are_refused_by_name() {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name);
    let network = Network::new("resnet18", 3, 104, 0.125, &TWO);

    let error = refusal(&network, &path("absent.safetensors"));
    assert!(error.contains("No such file"), "{error}");
    for name in ["junk.pt", "junk.pth", "junk.safetensors", "junk.dmue.onnx", "junk.npz"] {
        std::fs::write(path(name), b"no weights at all").unwrap();
    }
    for name in ["junk.pt", "junk.pth"] {
        let error = refusal(&network, &path(name));
        assert!(error.contains("state_dict") && error.contains("safetensors"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(refusal(&network, &path("junk.safetensors")).contains("no safetensors file"));
    assert!(refusal(&network, &path("junk.npz")).contains("`.npz` is no known form"));
    let error = network.start(&path("junk.dmue.onnx")).unwrap_err().to_string();
    assert!(error.contains("ONNX"), "{error}");

    let foreign = Tensors::from([("encoder.weight".to_owned(), Tensor::from_slice(&[1f32]))]);
    write(&foreign, &path("foreign.safetensors"));
    let error = refusal(&network, &path("foreign.safetensors"));
    assert!(error.contains("nothing in it fits") && error.contains("encoder.weight"), "{error}");

    let mut bad = Layout::resnet(0.125, [2, 2, 2, 2], false, false);
    bad.insert("bn1.bias".into(), Tensor::from_slice(&[f32::NAN; 8]));
    write(&bad, &path("bad.safetensors"));
    let error = refusal(&network, &path("bad.safetensors"));
    assert!(error.contains("`bn1.bias` holds NaN"), "{error}");
}
