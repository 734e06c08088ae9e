"""Networks and their weights: backbones, cards, checkpoints, loading, receptive field, ONNX."""
