//! DMUE's network (method.md section 1): shared stem, C auxiliary branches and the target branch,
//! each followed by pooling, dropout, the shared neck and a head of its own.

use tch::{Kind, Tensor, nn};

use super::network::{EPSILON, Stack};
use super::norm::calibrate;
use super::spec::Backbone;
use super::uncertainty::Uncertainty;
use crate::config::Latent;

const MOMENTUM: f64 = 0.1;
const HEAD_DEVIATION: f64 = 0.001; // impl, method.md section 1

/// All variables of a training.
#[derive(Debug)]
pub struct Dmue {
    classes: i64,
    feature: i64,
    dropout: f64,
    stem: Stack,
    /// B, the number of auxiliary branches: C, or 0 for a plain network.
    auxiliary: i64,
    /// Copies 0..B are the auxiliary branches, copy B is the target branch.
    branches: Stack,
    /// None where the backbone says so.
    neck: Option<Neck>,
    /// `[B, K, D]`, K = C-1 classes to learn (LD-N) or C (LD-A); `None` without branches.
    auxiliary_heads: Option<Tensor>,
    /// `[C, D]`
    target_head: Tensor,
    /// `[C]`, added to the logits of inference.
    prior_shift: Tensor,
    /// The paper's alpha.
    pub uncertainty: Uncertainty,
}

/// BatchNorm1d without a shift, one for all branches; the statistics that inference uses are those
/// of the target branch alone (method.md section 2).
#[derive(Debug)]
struct Neck {
    scale: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

/// What one training pass over a batch of N images gives; D features, C classes, B = C auxiliary
/// branches of K = C-1 (LD-N) or C (LD-A) logits, or B = 0.
#[derive(Debug)]
pub struct TrainOutputs {
    /// `[N, B+1, D]`, before dropout and neck; index B is the target branch.
    pub features: Tensor,
    /// `[N, C]`
    pub target_logits: Tensor,
    /// `[B, N, K]`: branch i's logits, with dropout, for L_aux.
    pub auxiliary_logits: Tensor,
    /// `[B, N, K]`: the same without dropout, for the mined distribution.
    pub mined_logits: Tensor,
}

/// Mean and variance of each auxiliary branch's features over many images, `[B, D]`.
#[derive(Debug)]
pub struct BranchStatistics {
    /// `[B, D]`
    pub mean: Tensor,
    /// `[B, D]`
    pub variance: Tensor,
}

impl BranchStatistics {
    /// Of features `[N, B, D]`.
    pub fn of(features: &Tensor) -> Self {
        let mean = features.mean_dim([0i64].as_slice(), false, Kind::Float);
        let variance = (features - &mean).square().mean_dim([0i64].as_slice(), false, Kind::Float);
        Self { mean, variance }
    }
}

/// What inference gives.
#[derive(Debug)]
pub struct TargetOutputs {
    /// `[N, C]`
    pub logits: Tensor,
    /// `[N, D]`, before the neck.
    pub feature: Tensor,
}

/// What the exporter needs of neck and head.
#[derive(Debug)]
pub struct Classifier {
    /// `[C, D]`
    pub weight: Tensor,
    /// `[C]`
    pub bias: Tensor,
}

impl Dmue {
    /// Makes the variables for `classes` classes, drawn from tch's generator; branches mine LD-N.
    pub fn new(path: &nn::Path, backbone: &Backbone, classes: i64, dropout: f64) -> Self {
        Self::with(path, backbone, classes, dropout, Some(Latent::Negative))
    }

    /// The same with the auxiliary branches that `latent` needs; without any it is the baseline.
    pub fn with(
        path: &nn::Path,
        backbone: &Backbone,
        classes: i64,
        dropout: f64,
        latent: Option<Latent>,
    ) -> Self {
        let feature = backbone.feature();
        let head = nn::Init::Randn { mean: 0., stdev: HEAD_DEVIATION };
        let auxiliary = if latent.is_some() { classes } else { 0 };
        let auxiliary_heads = latent.map(|latent| {
            let learnt = if latent == Latent::Negative { classes - 1 } else { classes };
            (path / "heads").var("auxiliary", &[classes, learnt, feature], head)
        });
        Self {
            classes,
            feature,
            dropout,
            auxiliary,
            stem: Stack::new(path, &backbone.stem, 1),
            branches: Stack::new(path, &backbone.branch, auxiliary + 1),
            neck: backbone.neck.then(|| Neck::new(&(path / "neck"), feature)),
            auxiliary_heads,
            prior_shift: Tensor::zeros([classes], (Kind::Float, path.device())),
            target_head: (path / "heads").var("target", &[classes, feature], head),
            uncertainty: Uncertainty::new(&(path / "uncertainty"), classes),
        }
    }

    /// Makes inference answer for another prior of the classes: `shift` `[C]` is added to what softmax takes.
    /// What was trained is softmax(alpha * logits), so logits get `shift` / `alpha`, the mean alpha.
    pub fn correct_prior(&mut self, shift: &[f64], alpha: f64) {
        let shift: Vec<f32> = shift.iter().map(|shift| (shift / alpha) as f32).collect();
        self.prior_shift = Tensor::from_slice(&shift).to_device(self.prior_shift.device());
    }

    /// C, the number of classes.
    pub fn classes(&self) -> i64 {
        self.classes
    }

    /// B, the number of auxiliary branches, C or 0; in `branches` the target branch has this index.
    pub fn auxiliary_branches(&self) -> i64 {
        self.auxiliary
    }

    /// The auxiliary branches' features `[N, B, D]` with running statistics, for use after training:
    /// images `[N,ch,S,S]`, normalised.
    pub fn auxiliary_features(&self, images: &Tensor) -> Tensor {
        tch::no_grad(|| self.features(images, false).narrow(1, 0, self.auxiliary))
    }

    /// What the auxiliary branches say of features `[N, B, D]` when the neck normalises by
    /// `statistics` in place of the batch, so that a face's answer is its own: logits `[B, N, K]`.
    pub fn mined_logits(&self, features: &Tensor, statistics: &BranchStatistics) -> Tensor {
        tch::no_grad(|| {
            let Some(neck) = &self.neck else { return self.headed(features) };
            let deviation = (&statistics.variance + EPSILON).sqrt();
            self.headed(&((features - &statistics.mean) / deviation * &neck.scale))
        })
    }

    /// One pass of every branch over the whole batch: images `[N,ch,S,S]`, normalised.
    pub fn forward_train(&self, images: &Tensor) -> TrainOutputs {
        let features = self.features(images, true);
        let auxiliary = features.narrow(1, 0, self.auxiliary);
        let target = features.select(1, self.auxiliary);
        let dropped = auxiliary.dropout(self.dropout, true);
        TrainOutputs {
            target_logits: self
                .necked_target(&target.dropout(self.dropout, true))
                .linear(&self.target_head, None::<&Tensor>),
            auxiliary_logits: self.auxiliary_logits(&dropped),
            mined_logits: tch::no_grad(|| self.auxiliary_logits(&auxiliary)),
            features,
        }
    }

    /// The target branch with running statistics: what is exported.
    pub fn forward_target(&self, images: &Tensor) -> TargetOutputs {
        tch::no_grad(|| {
            let maps = self.branches.infer_last(&self.stem.forward(images, false));
            let feature = averaged(&maps);
            let classifier = self.classifier();
            TargetOutputs {
                logits: feature.linear(&classifier.weight, Some(&classifier.bias)),
                feature,
            }
        })
    }

    /// Neck and target head folded into one affine map of the feature.
    pub fn classifier(&self) -> Classifier {
        tch::no_grad(|| {
            let Some(neck) = &self.neck else {
                let (weight, bias) = (self.target_head.copy(), self.prior_shift.copy());
                return Classifier { weight, bias };
            };
            let factor = &neck.scale / (&neck.running_var + EPSILON).sqrt();
            let weight = &self.target_head * factor.unsqueeze(0);
            let bias = &self.prior_shift - weight.mv(&neck.running_mean);
            Classifier { weight, bias }
        })
    }

    /// Makes all running statistics those of `images` `[N,ch,S,S]`, normalised, while the feature
    /// stays what it is; with `head` the logits do too, but for a constant of each class. For
    /// weights that come without statistics, so that training begins where inference is.
    pub fn calibrate(&self, images: &Tensor, head: bool) {
        tch::no_grad(|| {
            let maps = self.branches.calibrate(&self.stem.calibrate(images));
            let feature = self.pooled(&maps).select(1, self.auxiliary);
            if let (Some(neck), true) = (&self.neck, head) {
                calibrate(&feature, [&neck.scale, &neck.running_mean, &neck.running_var], None);
            }
        });
    }

    /// `[N,ch,S,S]` -> `[N, B+1, D]`
    fn features(&self, images: &Tensor, train: bool) -> Tensor {
        let shared = self.stem.forward(images, train);
        self.pooled(&self.branches.forward(&shared, train))
    }

    /// `[N, (C+1)*D, h, w]` -> `[N, C+1, D]`
    fn pooled(&self, maps: &Tensor) -> Tensor {
        averaged(maps).view([-1, self.auxiliary + 1, self.feature])
    }

    /// `[N, D]` by the neck in training.
    fn necked_target(&self, feature: &Tensor) -> Tensor {
        match &self.neck {
            Some(neck) => neck.train_target(feature),
            None => feature.shallow_clone(),
        }
    }

    /// `[N, B, D]` -> `[B, N, K]`
    fn auxiliary_logits(&self, features: &Tensor) -> Tensor {
        match &self.neck {
            Some(neck) => self.headed(&neck.batch(features)),
            None => self.headed(features),
        }
    }

    /// `[N, B, D]` after the neck -> `[B, N, K]`
    fn headed(&self, necked: &Tensor) -> Tensor {
        match &self.auxiliary_heads {
            Some(heads) => necked.transpose(0, 1).bmm(&heads.transpose(1, 2)),
            None => Tensor::zeros([0, necked.size()[0], 0], (necked.kind(), necked.device())),
        }
    }
}

/// The mean over each map: `[N,K,h,w]` -> `[N,K]`, float32.
fn averaged(maps: &Tensor) -> Tensor {
    maps.mean_dim([2i64, 3].as_slice(), false, Kind::Float)
}

impl Neck {
    fn new(path: &nn::Path, feature: i64) -> Self {
        Self {
            scale: path.var("scale", &[feature], nn::Init::Const(1.)),
            running_mean: path.zeros_no_train("running_mean", &[feature]),
            running_var: path.ones_no_train("running_var", &[feature]),
        }
    }

    /// `[N, branches, D]` by each branch's own batch statistics.
    fn batch(&self, features: &Tensor) -> Tensor {
        let mean = features.mean_dim([0i64].as_slice(), true, Kind::Float);
        let centred = features - mean;
        let variance = centred.square().mean_dim([0i64].as_slice(), true, Kind::Float);
        centred / (variance + EPSILON).sqrt() * &self.scale
    }

    /// `[N, D]` by batch statistics, which also move the running ones.
    fn train_target(&self, feature: &Tensor) -> Tensor {
        feature.batch_norm(
            Some(&self.scale),
            None,
            Some(&self.running_mean),
            Some(&self.running_var),
            true,
            MOMENTUM,
            EPSILON,
            true,
        )
    }
}
