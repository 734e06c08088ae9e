"""Testing a network on photographs against the plain loop of a user: distort, restore, PSNR and SSIM by scikit-image.

    python benchmarks/evaluate.py [--rounds 7]

Both test the shipped network `erm` under the protocol `denoise`, on the embedded test photographs, or on two of CBSD68
where UNSEEN_TEST_DATA names the folder of the test sets. The plain loop does not compare the restorations with each
other (`invariance`), nor keep rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import torch
from pairs import Row, measure, ratio, show_measured
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from unseen import keep_freed_memory
from unseen.evaluation import inputs
from unseen.evaluation.benchmark_sets import BenchmarkSets
from unseen.evaluation.config import EvaluateConfig
from unseen.evaluation.evaluate import TestedNetwork, evaluate_network
from unseen.models.checkpoint import load_checkpoint
from unseen.models.files import shipped
from unseen.protocols.loading import load_protocol

SIGMAS = (5, 10, 15, 20, 25, 30, 40, 50)


def rows(rounds: int) -> Iterator[Row]:
    """Measure the speed of `evaluate` by that of the plain loop."""
    torch.set_num_threads(1)
    keep_freed_memory()
    sets = os.environ.get("UNSEEN_TEST_DATA")
    test = f"cbsd68={Path(sets, 'test', 'cbsd68')}" if sets else "embedded"
    config, protocol = EvaluateConfig(test=[test], images=2, device="cpu", threads=1), load_protocol("denoise")
    network, card = load_checkpoint(shipped()["erm"])
    tests, tested = BenchmarkSets.load(config, protocol, []), TestedNetwork(network, card, "erm", "erm")

    def ours() -> None:
        inputs._input_qualities.clear()  # of the round before
        evaluate_network(tested, protocol, tests, config, 0, Event())

    def plain() -> None:
        for _, photo in tests.photos:
            clean = torch.from_numpy(photo.pixels).permute(2, 0, 1)[None] / 255
            for sigma in SIGMAS:
                noisy = (clean + sigma / 255 * torch.randn(clean.shape)).clamp(0, 1)
                with torch.inference_mode():
                    restored = network(noisy)
                for image in (noisy, restored):
                    pixels = (255 * image[0]).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
                    peak_signal_noise_ratio(photo.pixels, pixels)  # type: ignore[no-untyped-call]
                    structural_similarity(  # type: ignore[no-untyped-call]
                        photo.pixels,
                        pixels,
                        channel_axis=2,
                        gaussian_weights=True,
                        sigma=1.5,
                        use_sample_covariance=False,
                    )

    seconds = measure({"ours": ours, "plain": plain}, rounds)
    what = f"evaluate, erm under denoise, {test.partition('=')[0]}"
    yield Row(what, "a plain loop with scikit-image", "≥ 1.5", ratio(seconds["plain"], seconds["ours"]))


if __name__ == "__main__":
    show_measured(__doc__, rows)
