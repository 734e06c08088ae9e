"""Training methods: each turns batches under several confounders into a gradient for θ; one small class a paper."""

from .averaging import EMA, SWA
from .balanced import BalancedERM
from .coral import CORAL
from .dil import DIL, DILControl, DILpf, DILps, DILsf, DILss
from .episode import Batch, Episode
from .erm import ERM, Ceiling, StoppedERM
from .extrapolation import ExtrapolatedERM, WidenedERM
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
from .params import Params
from .sam import SAM
from .vrex import VREx

METHODS: dict[str, type[Method]] = {
    "erm": ERM,
    "ceiling": Ceiling,
    "dil_sf": DILsf,
    "dil_pf": DILpf,
    "dil_ss": DILss,
    "dil_ps": DILps,
    "dil_control": DILControl,
    "stopped_erm": StoppedERM,
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
    "extrapolated_erm": ExtrapolatedERM,
    "widened_erm": WidenedERM,
}
"""Every built-in method by the name that `--method` takes."""

__all__ = [
    "DIL",
    "METHODS",
    "SGD",
    "Adam",
    "Batch",
    "Episode",
    "Method",
    "Objective",
    "Params",
    "objective_for",
]
