"""The mark of lines by which programs tell what happens: `@treadle {"type": ..., ...}`; all others are for people.

Programs that run where Treadle is not installed write it themselves.
"""

from __future__ import annotations

from typing import Final

MARK: Final = "@treadle "
