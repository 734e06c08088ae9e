"""What holds for every method: its cost, its row in the documents, what it leaves alone, what the room imports."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from support.docs_tables import ROOT, DocsTables, markdown_table
from support.gradients import episode_of, parameters_of, smooth_network

import unseen.methods
from unseen.core.registry import build, summary_line
from unseen.methods import METHODS, Method, objective_for


def evaluations(cost: str, n: int) -> int:
    """What a class states as its cost, such as `n + 3(n − 1)`, for n confounders."""
    assert re.fullmatch(r"[\dn+−() ]+", cost), cost
    return int(eval(re.sub(r"(?<=\d)(?=[n(])", "*", cost.replace("−", "-")), {"n": n}))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n", [2, 4])
def test_gradient_evaluations_are_those_that_the_class_states(name: str, n: int) -> None:
    """Forward and backward of a batch is one, a Hessian-vector product three."""
    network = smooth_network()
    objective = objective_for(network)
    METHODS[name]().gradient(objective, parameters_of(network), episode_of(n))
    assert objective.tally.images == 2 * evaluations(METHODS[name].cost, n)


def test_costs_are_read_as_they_are_written() -> None:
    assert [evaluations(cost, 4) for cost in ("1", "n + 1", "4n", "n + 3(n − 1)")] == [1, 5, 16, 13]


def test_the_documents_list_every_method_with_what_its_class_says(docs_tables: DocsTables) -> None:
    columns = {"method": ":---", "evaluations a step": "---:", "what it does, and its source": ":---"}
    assert all(method.cost for method in METHODS.values()), "a method states its cost: cost = 'n'"
    rows = [(f"`{name}`", method.cost, summary_line(method)) for name, method in METHODS.items()]
    docs_tables.check("docs/comparing.md", "methods", markdown_table(columns, rows))


def test_the_costs_that_are_explained_are_those_that_the_classes_state() -> None:
    """Of the table of docs/method.md, whose terms are written by hand."""
    explained = re.findall(
        r"^\| ((?:`\w+`,? ?)+) \| [^|]* \| \$([^$]*)\$ \|", (ROOT / "docs/method.md").read_text(), re.M
    )
    costs = {name: cost for names, cost in explained for name in re.findall(r"`(\w+)`", names)}
    assert {"erm", "ceiling", "dil_sf", "dil_pf", "dil_ss", "dil_ps"} <= costs.keys()
    assert costs == {name: METHODS[name].cost for name in costs}


@pytest.mark.parametrize("name", METHODS)
def test_parameters_and_network_are_left_alone(name: str) -> None:
    network = smooth_network()
    params = dict(network.named_parameters())
    before = parameters_of(network)
    found = METHODS[name]().gradient(objective_for(network), params, episode_of(3))
    assert found.keys() == params.keys()
    assert all(torch.equal(params[n], before[n]) and params[n].grad is None for n in params)
    assert all(found[n].shape == params[n].shape and not found[n].requires_grad for n in params)


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_every_class_is_found_by_a_dotted_path(method: type[Method]) -> None:
    """Users' cards name classes so; METHODS alone is no reason to have a name in the package."""
    assert type(build(f"unseen.methods.{method.__name__}", {}, "method", Method)) is method


def test_the_names_that_users_build_on_are_public() -> None:
    for name in ("DIL", "METHODS", "Batch", "Episode", "Method", "Objective", "Params", "objective_for"):
        assert name in unseen.methods.__all__


def test_the_room_imports_nothing_of_the_package_but_core() -> None:
    """Whoever takes only the methods into a loop of their own loads no data, no networks and no command line."""
    program = "import sys, unseen.methods; print(*(name for name in sys.modules if name.startswith('unseen.')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "unseen.methods.dil" in loaded
    assert {name.split(".")[1] for name in loaded} <= {"core", "methods"}
