"""What a network is given and how well it restores it: inputs, metrics, noise level, results."""
