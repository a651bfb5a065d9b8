"""What would a better head be worth: more images, more blocks, a stronger penalty, a kernel?

    python benchmarks/heads.py --manifest FILE --images DIR --cache DIR --bfloat16 \\
        --real 400 --generated 250

The first columns are AUROC on sources and on generators that a head was not trained on (mean over
folds), on mildly treated and on degraded images: as good as the corpus can say. The last are of a
head trained on all but the sources for calibration: AUROC on those and on the content-matched pairs
(mean), files as they are, and which share of the photographs in the pairs it flags at a threshold
that flags 1 % of those for calibration (mean). A lever that helps in the first and not in the last
has learned the corpus.

`share`: of the images of every source, drawn evenly. `kernel` is a support vector machine with a
Gaussian kernel of scikit-learn (extra `dev`).
"""

import sys
from functools import partial

import numpy as np
from corpus import L2, Corpus, Fit, Logits, arguments, linear, mean_over_folds, read_out
from sklearn.svm import SVC

from dgsforensics.detector.calibration import fit as calibrate
from dgsforensics.evaluation.metrics import evaluate
from dgsforensics.trainer import splits

DEGRADED = ("degraded",)
BOTH = ("degraded", "standard")
COLUMNS = ("head", "blocks", "trained on", "share", "source, standard", "source, degraded")
COLUMNS += ("generator, standard", "generator, degraded", "calibration", "pairs", "flagged")


def main() -> None:
    table = Table(Corpus(arguments(__doc__.splitlines()[0]).parse_args()))
    print(f"{len(table.corpus.rows)} images\n")
    print("| " + " | ".join(COLUMNS) + " |\n" + "| --- " * 4 + "| ---: " * (len(COLUMNS) - 4) + "|")
    for share in (0.1, 0.33, 1.0):
        table.line(f"linear, l2 {L2:g}", linear, (7, 9), DEGRADED, share)
    for l2 in (L2, 1.0):
        table.line(f"linear, l2 {l2:g}", partial(linear, l2=l2), (6, 8, 10), DEGRADED)
    table.line("linear, l2 1", partial(linear, l2=1.0), (6, 8, 10), BOTH)
    table.line("kernel", kernel, (6, 8, 10), DEGRADED, 0.33)


class Table:
    """Features of the corpus, and a line for each head on them."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.tokens = {name: corpus.features("whole", name) for name in BOTH}
        outside = np.concatenate([corpus.held, *corpus.paired.values()])
        self.tokens["as_is"] = corpus.features("whole", "as_is", rows=outside)

    def line(
        self, name: str, fit: Fit, blocks: tuple[int, ...], train: tuple[str, ...], share: float = 1
    ) -> None:
        """Fit a head for every fold and one to be kept, and print what they are worth."""
        corpus, y = self.corpus, self.corpus.labels
        read = {key: read_out(part, blocks) for key, part in self.tokens.items()}
        draws = [read[key] for key in train]
        chosen = fit if share == 1 else thinned(fit, share, len(draws))
        figures = []
        for cell in (splits.by_source, splits.by_generator):
            tests = [read["standard"], read["degraded"]]
            scores, fold_of = corpus.out_of_fold(chosen, draws, tests, cell)
            figures += [mean_over_folds(s, y[corpus.rows], fold_of).auroc for s in scores]
        head = chosen(*corpus.material(draws, corpus.training))
        held = head(read["as_is"][corpus.held])
        cut = calibrate(held, y[corpus.held], "").thresholds().upper
        pairs = [
            evaluate(head(read["as_is"][rows]), y[rows], cut) for rows in corpus.paired.values()
        ]
        figures += [
            evaluate(held, y[corpus.held], cut).auroc,
            np.mean([found.auroc for found in pairs]),
            1 - np.mean([found.r_acc for found in pairs]),
        ]
        read_blocks = " ".join(str(block + 1) for block in blocks)
        words = [name, read_blocks, " and ".join(train), f"{share:.0%}"]
        print("| " + " | ".join([*words, *(f"{x:.3f}" for x in figures)]) + " |", flush=True)
        print(", ".join(words), file=sys.stderr, flush=True)


def kernel(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Logits:
    share = weights / weights.sum()
    mean = share @ features
    std = np.sqrt(share @ np.square(features - mean)) + 1e-6
    machine = SVC(C=3.0, gamma=1 / features.shape[1], cache_size=2000)
    machine.fit((features - mean) / std, labels, sample_weight=share * len(share))
    return lambda x: machine.decision_function((x - mean) / std)


def thinned(fit: Fit, share: float, draws: int) -> Fit:
    """The same on an evenly drawn share of the images, in all their versions."""

    def fewer(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Logits:
        count = len(labels) // draws
        kept = np.flatnonzero(np.random.default_rng(0).random(count) < share)
        rows = np.concatenate([kept + draw * count for draw in range(draws)])
        return fit(features[rows], labels[rows], weights[rows])

    return fewer


if __name__ == "__main__":
    main()
