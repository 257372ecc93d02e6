"""Steps that are taken only when asked for, by name. A new one is one file beside this one, and one line here.

Such a step is a function `step(pieces, facts) -> Iterator[str]` over pieces of whole lines: it gives the changed text,
notes in `facts` what it did, and raises `RefusedError` to refuse the document. Plugins add to them through the
entry-point group `treadle.step`.
"""

from __future__ import annotations

from typing import Final

from treadle.registry.catalogue import Catalogue

STEPS: Final = Catalogue("step", {"personal": "treadle.data.steps.personal:masked"})
