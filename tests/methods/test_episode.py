"""Batches that are made when they are first asked for, and the time that this takes."""

from __future__ import annotations

import time

import pytest
import torch

from unseen.methods import Batch, Episode


def batch(name: str) -> Batch:
    return Batch(torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4), name)


def test_a_batch_is_made_when_it_is_first_asked_for_and_kept() -> None:
    asked: list[str] = []

    def maker(name: str) -> Batch:
        asked.append(name)
        return batch(name)

    ready = batch("ready")
    episode = Episode([lambda: maker("a"), ready, lambda: maker("c")], lambda: maker("query"))
    assert len(episode.confounders) == 3
    assert asked == []
    assert episode.confounders[1] is ready
    assert episode.confounders[-1] is episode.confounders[2]
    assert asked == ["c"]
    assert episode.query is episode.query
    assert asked == ["c", "query"]
    assert [made.name for made in episode.confounders[:2]] == ["a", "ready"]
    assert asked == ["c", "query", "a"]


def test_only_the_making_of_batches_takes_an_episodes_time() -> None:
    def slow() -> Batch:
        time.sleep(0.02)
        return batch("slow")

    episode = Episode([batch("ready"), slow], slow)
    assert episode.confounders[0].name == "ready"
    assert episode.seconds == 0
    assert episode.confounders[1] is episode.confounders[1]
    once = episode.seconds
    assert once >= 0.02
    assert episode.query.name == "slow"
    assert episode.seconds >= once + 0.02


def test_a_batch_has_as_many_distorted_images_as_clean_ones() -> None:
    with pytest.raises(ValueError, match="2 distorted images for 3 clean ones"):
        Batch(torch.zeros(2, 3, 4, 4), torch.zeros(3, 3, 4, 4))
