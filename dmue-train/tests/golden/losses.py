"""Writes losses.json: small batches and what method.md's formulas make of them.

Standard library only and written from method.md alone, without a look at the Rust code:

    python3 losses.py > losses.json
"""

import json
import math
import random

METHOD = {"omega": 0.5, "gamma": 1000.0, "beta": 4.0, "temperature": 1.2}


def numbers(draw, *shape):
    if len(shape) == 1:
        return [round(draw.uniform(-2, 2), 3) for _ in range(shape[0])]
    return [numbers(draw, *shape[1:]) for _ in range(shape[0])]


def batch(seed, classes, labels, size):
    draw = random.Random(seed)
    count = len(labels)
    return {
        "labels": labels,
        "features": numbers(draw, count, classes + 1, size),
        "target_logits": numbers(draw, count, classes),
        "auxiliary_logits": numbers(draw, classes, count, classes - 1),
        "mined_logits": numbers(draw, classes, count, classes - 1),
        "head": {
            "w1": numbers(draw, classes, 2 * classes),
            "b1": numbers(draw, classes),
            "slope": 0.25,
            "w2": numbers(draw, classes),
            "b2": round(draw.uniform(-1, 1), 3),
        },
    }


def log_softmax(row):
    top = max(row)
    rest = top + math.log(sum(math.exp(value - top) for value in row))
    return [value - rest for value in row]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def matrix_product(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def rows_to_unit(matrix):
    return [[value / math.hypot(*row) for value in row] for row in matrix]


def branch(features, index):
    return [image[index] for image in features]


def auxiliary(logits, labels):
    """Section 2: each branch learns the images of the other classes."""
    losses = []
    for own, rows in enumerate(logits):
        remaining = [label for label in range(len(logits)) if label != own]
        losses.append(
            mean(
                -log_softmax(row)[remaining.index(label)]
                for row, label in zip(rows, labels)
                if label != own
            )
        )
    return mean(losses)


def latent(logits, labels, temperature):
    """Section 2: p^(1/T) renormalised, in logarithms; 0 at the label."""
    result = []
    for index, label in enumerate(labels):
        tempered = log_softmax([p / temperature for p in log_softmax(logits[label][index])])
        row = [math.exp(value) for value in tempered]
        result.append(row[:label] + [0.0] + row[label:])
    return result


def soft(logits, mined, labels):
    """Section 2: mean squared distance with the label's own place masked."""
    squares = []
    for row, target, label in zip(logits, mined, labels):
        probabilities = [math.exp(value) for value in log_softmax(row)]
        probabilities[label] = 0.0
        squares += [(p - t) ** 2 for p, t in zip(probabilities, target)]
    return mean(squares)


def similarity(features, labels, classes):
    """Section 3: rows are normalised over the full batch before rows and columns are struck out."""
    def gram(index):
        f = branch(features, index)
        return rows_to_unit(matrix_product(f, list(zip(*f))))

    target, losses = gram(classes), []
    for own in range(classes):
        kept = [index for index, label in enumerate(labels) if label != own]
        theirs = gram(own)
        total = sum((target[q][p] - theirs[q][p]) ** 2 for q in kept for p in kept)
        losses.append(total / len(kept) ** 2)
    return mean(losses)


def pairwise(features, labels, classes):
    """Section 4: a class's mean unit vector, without the image itself, times the image's own."""
    unit = rows_to_unit(features)
    result = []
    for index, own in enumerate(unit):
        row = []
        for label in range(classes):
            others = [unit[x] for x, y in enumerate(labels) if y == label and x != index]
            centre = [mean(column) for column in zip(*others)] if others else [0.0] * len(own)
            row.append(sum(a * b for a, b in zip(own, centre)))
        result.append(row)
    return result


def alpha(head, values, label):
    """Section 4: two layers on the scaled similarities and the label."""
    low, high = min(values), max(values)
    inputs = [(value - low) / (high - low) for value in values]
    inputs += [float(place == label) for place in range(len(values))]
    hidden = [sum(w * x for w, x in zip(row, inputs)) + b for row, b in zip(head["w1"], head["b1"])]
    hidden = [max(value, 0) + head["slope"] * min(value, 0) for value in hidden]
    logit = sum(w * h for w, h in zip(head["w2"], hidden)) + head["b2"]
    return 1 / (1 + math.exp(-logit))


def ramps(epoch, beta):
    """Section 5."""
    if epoch <= beta:
        return math.exp(-5 * (1 - epoch / beta) ** 2), 1.0
    return 1.0, math.exp(-((1 - beta / epoch) ** 2))


def expected(inputs, epoch):
    labels, logits = inputs["labels"], inputs["target_logits"]
    classes = len(inputs["auxiliary_logits"])
    mined = latent(inputs["mined_logits"], labels, METHOD["temperature"])
    values = pairwise(branch(inputs["features"], classes), labels, classes)
    alphas = [alpha(inputs["head"], row, label) for row, label in zip(values, labels)]
    target = mean(
        -log_softmax([a * value for value in row])[label]
        for a, row, label in zip(alphas, logits, labels)
    )
    terms = {
        "auxiliary": auxiliary(inputs["auxiliary_logits"], labels),
        "latent": mined,
        "soft": soft(logits, mined, labels),
        "similarity": similarity(inputs["features"], labels, classes),
        "pairwise": values,
        "alpha": alphas,
        "target": target,
    }
    up, down = ramps(epoch, METHOD["beta"])
    terms["total"] = down * terms["auxiliary"] + up * (
        target + METHOD["omega"] * terms["soft"] + METHOD["gamma"] * terms["similarity"]
    )
    return terms


def main():
    plans = [
        (1, 3, [0, 0, 1, 1, 2, 2], 4, 1.5),
        (2, 2, [1, 0, 1, 0], 3, 4.0),
        (3, 5, [4, 0, 0, 2, 4, 1, 1, 2], 3, 11.0),  # no image of class 3
    ]
    batches = []
    for seed, classes, labels, size, epoch in plans:
        inputs = batch(seed, classes, labels, size)
        batches.append({"epoch": epoch, "batch": inputs, "expected": expected(inputs, epoch)})
    points = [(0.0, 4.0), (1.0, 4.0), (4.0, 4.0), (4.5, 4.0), (12.0, 4.0), (30.0, 9.5)]
    print(json.dumps({
        "method": METHOD,
        "ramps": [[epoch, beta, *ramps(epoch, beta)] for epoch, beta in points],
        "batches": batches,
    }))


main()
