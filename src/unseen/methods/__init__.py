"""How θ learns from the confounders: one small class a paper, one verb, `gradient`."""

from collections.abc import Callable

from .averaging import EMA, SWA
from .balanced import BalancedERM
from .coral import CORAL
from .dil import DIL, dil_pf, dil_ps, dil_sf, dil_ss
from .episode import Batch, Episode, Params
from .erm import ERM, Ceiling
from .feature_dropout import FeatureDropout
from .fish import Fish
from .fishr import Fishr
from .group_dro import GroupDRO
from .inner_optimiser import SGD, Adam
from .input_masking import InputMasking
from .irm import IRM
from .method import Method
from .mixup import Mixup
from .mldg import MLDG
from .objective import Objective, objective_for
from .sam import SAM
from .vrex import VREx

METHODS: dict[str, Callable[..., Method]] = {
    "erm": ERM,
    "ceiling": Ceiling,
    "dil_sf": dil_sf,
    "dil_pf": dil_pf,
    "dil_ss": dil_ss,
    "dil_ps": dil_ps,
    "balanced_erm": BalancedERM,
    "group_dro": GroupDRO,
    "vrex": VREx,
    "irm": IRM,
    "mldg": MLDG,
    "fish": Fish,
    "fishr": Fishr,
    "coral": CORAL,
    "sam": SAM,
    "ema": EMA,
    "swa": SWA,
    "feature_dropout": FeatureDropout,
    "input_masking": InputMasking,
    "mixup": Mixup,
}

__all__ = [
    "CORAL",
    "DIL",
    "EMA",
    "ERM",
    "IRM",
    "METHODS",
    "MLDG",
    "SAM",
    "SGD",
    "SWA",
    "Adam",
    "BalancedERM",
    "Batch",
    "Ceiling",
    "Episode",
    "FeatureDropout",
    "Fish",
    "Fishr",
    "GroupDRO",
    "InputMasking",
    "Method",
    "Mixup",
    "Objective",
    "Params",
    "VREx",
    "dil_pf",
    "dil_ps",
    "dil_sf",
    "dil_ss",
    "objective_for",
]  # fmt: skip
