"""The rival of restore.py: a plain script that restores images by onnxruntime, tile by tile, on one thread.

python benchmarks/onnx_loop.py MODEL.onnx FILE-OR-FOLDER OUT
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

TILE, OVERLAP = 512, 24


def opened(model: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def restored(session: onnxruntime.InferenceSession, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = pixels.astype(np.float32).transpose(2, 0, 1)[None] / 255
    result = np.empty_like(image)
    for top in range(0, image.shape[2], TILE):
        for left in range(0, image.shape[3], TILE):
            y, x = max(0, top - OVERLAP), max(0, left - OVERLAP)
            window = image[..., y : top + TILE + OVERLAP, x : left + TILE + OVERLAP]
            (tile,) = session.run(None, {"image": np.ascontiguousarray(window)})
            result[..., top : top + TILE, left : left + TILE] = tile[..., top - y :, left - x :][..., :TILE, :TILE]
    levels: NDArray[np.uint8] = (result[0].transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8)
    return levels


def main() -> None:
    model, source, out = sys.argv[1:]
    session, files = opened(model), sorted(Path(source).iterdir()) if Path(source).is_dir() else [Path(source)]
    Path(out).mkdir(exist_ok=True)
    for file in files:
        Image.fromarray(restored(session, np.asarray(Image.open(file).convert("RGB")))).save(Path(out) / file.name)


if __name__ == "__main__":
    main()
