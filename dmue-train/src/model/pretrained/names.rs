//! What other people's files call our variables.

/// The end of a convolution's name here, and that of convolution and normalisation in torchvision's
/// `resnet*` and `mobilenet_v2` (IBN-Net names its ResNets alike). The first that fits counts.
const TORCHVISION: [(&str, &str, &str); 11] = [
    ("features.0.conv", "features.0.0", "features.0.1"),
    ("features.1.depthwise", "features.1.conv.0.0", "features.1.conv.0.1"),
    ("features.1.project", "features.1.conv.1", "features.1.conv.2"),
    ("features.18.conv", "features.18.0", "features.18.1"),
    ("expand", "conv.0.0", "conv.0.1"),
    ("depthwise", "conv.1.0", "conv.1.1"),
    ("project", "conv.2", "conv.3"),
    ("conv1", "conv1", "bn1"),
    ("conv2", "conv2", "bn2"),
    ("conv3", "conv3", "bn3"),
    ("shortcut", "downsample.0", "downsample.1"),
];
/// The first convolution of a ResNet.
const FIRST: (&str, [&str; 2]) = ("stem.conv", ["conv1", "bn1"]);

/// Variables outside of the backbone, in our files with and without folded normalisation. The neck
/// is folded into the head there.
const HEADS: [(&str, Option<&str>); 9] = [
    ("neck.scale", None),
    ("neck.running_mean", None),
    ("neck.running_var", None),
    ("heads.target", Some("classifier.weight")),
    ("uncertainty.w1", Some("alpha_head.w1")),
    ("uncertainty.b1", Some("alpha_head.b1")),
    ("uncertainty.prelu", Some("alpha_head.prelu")),
    ("uncertainty.w2", Some("alpha_head.w2")),
    ("uncertainty.b2", Some("alpha_head.b2")),
];

/// torchvision's names of our convolution `name` and of its normalisation.
pub(super) fn torchvision(name: &str) -> Option<[String; 2]> {
    if name == FIRST.0 {
        return Some(FIRST.1.map(String::from));
    }
    let (_, path) = name.split_once('.')?; // stem or branch
    TORCHVISION.iter().find_map(|(ours, convolution, norm)| {
        let before = path.strip_suffix(ours)?;
        let is_whole_name = before.is_empty() || before.ends_with('.');
        is_whole_name.then(|| [convolution, norm].map(|theirs| format!("{before}{theirs}")))
    })
}

/// The tensor that the variable `name` outside of the backbone is taken from.
///
/// # Errors
/// Why there is none.
pub(super) fn head(name: &str, folded: bool) -> Result<&'static str, &'static str> {
    let known = HEADS.iter().find(|(ours, _)| *ours == name);
    let (ours, in_folded) = known
        .ok_or("belongs to the auxiliary branches, which begin as copies of the target branch")?;
    if folded { in_folded.ok_or("is folded into the head there") } else { Ok(ours) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_torchvision() {
        let table = [
            ("stem.conv", "conv1", "bn1"),
            ("stem.layer1.0.conv2", "layer1.0.conv2", "layer1.0.bn2"),
            ("branch.layer4.0.shortcut", "layer4.0.downsample.0", "layer4.0.downsample.1"),
            ("stem.features.0.conv", "features.0.0", "features.0.1"),
            ("stem.features.1.depthwise", "features.1.conv.0.0", "features.1.conv.0.1"),
            ("stem.features.11.depthwise", "features.11.conv.1.0", "features.11.conv.1.1"),
            ("branch.features.17.project", "features.17.conv.2", "features.17.conv.3"),
            ("branch.features.18.conv", "features.18.0", "features.18.1"),
        ];
        for (ours, convolution, norm) in table {
            assert_eq!(torchvision(ours).unwrap(), [convolution, norm], "{ours}");
        }
        assert_eq!(torchvision("stem.stage2.0.compress"), None);
    }
}
