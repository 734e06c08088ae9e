"""Tests of restoration networks: distorted inputs, metrics, noise level, test sets and results."""
