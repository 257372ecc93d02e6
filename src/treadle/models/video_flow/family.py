"""The catalogue entry of this family."""

from __future__ import annotations

from treadle.models.family import Family

FAMILY = Family(
    name="video_flow",
    summary="transformer that draws short clips out of noise along control maps and phrases (rectified flow)",
    needs="clips",
    config="treadle.models.video_flow.config:VideoFlowConfig",
    shapes="treadle.models.video_flow.weights:weight_shapes",
    start="treadle.models.video_flow.initialise:initial_weights",
    model="treadle.models.video_flow.model:build",
)
