"""Train image-restoration networks to hold up on distortions they have never seen, and measure by how much."""

from typing import TYPE_CHECKING

from .core.freed_memory import keep_freed_memory
from .core.trust import trusting
from .core.version import __version__

__all__ = ["Restorer", "__version__", "keep_freed_memory", "trusting"]

if TYPE_CHECKING:
    from .restoration.restorer import Restorer
else:

    def __getattr__(name: str) -> object:
        """`Restorer`, imported when it is first asked for: `import unseen` alone does not load PyTorch."""
        if name != "Restorer":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .restoration.restorer import Restorer

        return Restorer
