#!/usr/bin/env python3
"""Golden values of the pairwise uncertainty, from the formulas alone: plain Python, double precision, nothing shared
with the crate. Writes uncertainty.json beside itself; `cargo test` compares."""

import json
import math
import pathlib

# C = 3 classes, D = 4, H = 2. Numbers without a pattern, so that a swapped index or axis shows.
FEATURE = [0.9, -1.7, 0.4, 2.2]
LOGITS = [0.3, -0.2, 1.1]
MEANS = [[0.5, -0.3, 0.2, 0.6], [-0.1, 0.7, 0.4, -0.2], [0.3, -0.6, -0.1, 0.5]]
N0 = 7.5
SUMS = [[1.2, -0.4, 0.1, 1.9], [0.0, 0.0, 0.0, 0.0], [-0.7, 0.2, 0.5, 0.3]]
COUNTS = [3.0, 0.0, 1.25]
SCORE_W1 = [
    [0.31, -0.72, 0.55, 0.14, -0.93, 0.28, 0.67, -0.41, 0.83, -0.19, 0.36, -0.27, 0.12],
    [-0.62, 0.47, -0.15, -1.38, -0.76, 0.52, -0.34, 0.91, -1.08, 0.43, -0.58, 0.22, 0.49],
]
# Behind those of SCORE_W1, for a head that takes the feature, too.
OF_FEATURE = [[0.33, -0.18, 0.74, 0.09], [-0.26, 0.57, 0.11, -0.48]]
ALPHA_W1 = [[0.8, -0.5, 0.3, -0.9, 0.2, 0.6], [-0.4, 0.1, -0.7, 0.5, 0.9, -1.3]]
SCORE_REST = dict(b1=[0.21, -0.37], prelu=0.15, w2=[1.4, -0.9], b2=-0.25)
ALPHA_REST = dict(b1=[-0.11, 0.05], prelu=0.3, w2=[0.7, 1.1], b2=0.4)
WIDE_W1 = [row + more for row, more in zip(SCORE_W1, OF_FEATURE, strict=True)]


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def head(x, w1, b1, prelu, w2, b2):
    hidden = [dot(row, x) + b for row, b in zip(w1, b1, strict=True)]
    hidden = [h if h >= 0 else prelu * h for h in hidden]
    return 1 / (1 + math.exp(-(dot(w2, hidden) + b2)))


def answers(sums, counts):
    norm = math.sqrt(dot(FEATURE, FEATURE))
    f = [x / norm for x in FEATURE]
    sv = [(N0 * dot(f, m) + dot(f, s)) / (N0 + n) for m, s, n in zip(MEANS, sums, counts, strict=True)]
    scaled = [(v - min(sv)) / (max(sv) - min(sv)) for v in sv]
    predicted = LOGITS.index(max(LOGITS))
    one_hot = [float(i == predicted) for i in range(3)]
    alpha_input = scaled + one_hot
    total = math.fsum(math.exp(z) for z in LOGITS)
    log_probabilities = [math.log(math.exp(z) / total) for z in LOGITS]
    score_input = sorted(sv, reverse=True) + [sv[predicted]] + scaled + one_hot + sorted(log_probabilities, reverse=True)
    return dict(
        unit=f,
        similarities=sv,
        score_input=score_input,
        alpha_input=alpha_input,
        score=head(score_input, SCORE_W1, **SCORE_REST),
        wide_score=head(score_input + FEATURE, WIDE_W1, **SCORE_REST),
        alpha=head(alpha_input, ALPHA_W1, **ALPHA_REST),
    )


golden = dict(
    feature=FEATURE, logits=LOGITS, class_means=MEANS, prior_weight=N0, sums=SUMS, counts=COUNTS,
    score_head=dict(w1=SCORE_W1, **SCORE_REST),
    wide_head=dict(w1=WIDE_W1, **SCORE_REST),
    alpha_head=dict(w1=ALPHA_W1, **ALPHA_REST),
    single=answers([[0.0] * 4] * 3, [0.0] * 3),
    window=answers(SUMS, COUNTS),
)
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, indent=1) + "\n")
