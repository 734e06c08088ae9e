"""The plan of a study: what all its runs share, loaded and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from ..core.registry import build
from ..evaluation.benchmark_sets import BenchmarkSets
from ..methods import METHODS, Method
from ..models.backbones import BACKBONES
from ..models.channels import require_channels
from ..protocols.protocol import Protocol
from ..training.run import refuse_unsuited_options
from ..training.training_data import TrainingData, protocol_of, training_data_by_view
from .config import CompareConfig


@dataclass(frozen=True)
class StudyPlan:
    """The plan of a study: the options, protocol and data that all its runs share.

    Attributes:
        config: the options of the study.
        protocol: the protocol of training and tests.
        tests: the test images.
        data: the digest of the training photographs, by name of the entry.
        training_data: the training data by name of the entry; empty where other processes train.
    """

    config: CompareConfig
    protocol: Protocol
    tests: BenchmarkSets
    data: dict[str, str]
    training_data: dict[str, TrainingData]

    @classmethod
    def of(cls, config: CompareConfig, *, compare: bool = True) -> StudyPlan:
        """Load and check everything that the options name, before hours of training and not after.

        Args:
            config: the options of the study, `device` and `threads` resolved.
            compare: whether to search the test images for training photographs, once in a study.

        Raises:
            UserError: something that the options name cannot be used.
        """
        config.check()
        protocol = protocol_of(config)
        methods = {entry.name: build(entry.method, METHODS, "methods", Method) for entry in config.entries()}
        for entry in config.entries():
            refuse_unsuited_options(config, entry.method, methods[entry.name])
        by_view = training_data_by_view(config, protocol, list(methods.values()))
        trained_on = [photo for data in by_view.values() for photo in data.photos()] if compare else []
        tests = BenchmarkSets.load(config, protocol, trained_on)
        for backbone in dict.fromkeys(entry.backbone for entry in config.entries()):
            require_channels(build(backbone, BACKBONES, "backbone", nn.Module), backbone, protocol)
        digests = {view: data.digest() for view, data in by_view.items()}
        return cls(
            config,
            protocol,
            tests,
            {name: digests[method.trains_on] for name, method in methods.items()},
            {name: by_view[method.trains_on] for name, method in methods.items()},
        )

    def without_training_data(self) -> StudyPlan:
        """The same plan, which frees the memory of the training photographs: for a process that trains nothing."""
        return replace(self, training_data={})
