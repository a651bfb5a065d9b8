"""Which view of a picture, and which blocks of the tower, a linear head should read.

    python benchmarks/views.py --manifest FILE --images DIR --cache DIR --real 60 --generated 30

AUROC of heads trained on one version of each image (--train): leave-source-out (mean over folds) on
mildly treated and on degraded images, and on the content-matched pairs, which nobody trained on.
Where real and generated images show the same content, a view cannot profit from the content.
"""

from corpus import PAIRED, Corpus, arguments, linear, mean_over_folds, read_out

from dgsforensics.evaluation.metrics import evaluate
from dgsforensics.trainer import splits

READOUTS = {
    "output": (),
    **{f"block {b}": (b - 1,) for b in (4, 6, 8, 10, 11)},
    "blocks 8 10": (7, 9),
    "blocks 4 6 8": (3, 5, 7),
    "blocks 6 8 10": (5, 7, 9),
    "blocks 6 9 12": (5, 8, 11),
}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--train", choices=("standard", "degraded"), default="degraded")
    options = parser.parse_args()
    train = ("standard", "degraded").index(options.train)
    corpus = Corpus(options)
    y = corpus.labels
    names = [name.split("/")[0] for name in PAIRED]
    print(f"{len(corpus.rows)} images, {len(y) - len(corpus.rows)} of content-matched pairs\n")
    head = [
        "view",
        "readout",
        "standard",
        "degraded",
        *names,
        "pairs, mean",
        "degraded pairs, mean",
    ]
    print("| " + " | ".join(head) + " |\n" + "| --- " * 2 + "| ---: " * (len(head) - 2) + "|")
    for view in ("patches", "whole"):
        tokens = [corpus.features(view, t) for t in ("standard", "degraded")]
        for name, blocks in READOUTS.items():
            tests = [read_out(part, blocks) for part in tokens]
            scores, fold_of = corpus.out_of_fold(linear, [tests[train]], tests, splits.by_source)
            cells = [mean_over_folds(s, y[corpus.rows], fold_of).auroc for s in scores]
            fitted = linear(*corpus.material([tests[train]], corpus.rows))
            standard, degraded = (
                [evaluate(fitted(x[m]), y[m], 0).auroc for m in corpus.paired.values()]
                for x in tests
            )
            cells += [*standard, sum(standard) / len(names), sum(degraded) / len(names)]
            print(
                f"| {view} | {name} | " + " | ".join(f"{c:.3f}" for c in cells) + " |", flush=True
            )


if __name__ == "__main__":
    main()
