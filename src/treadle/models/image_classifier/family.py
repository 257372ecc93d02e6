"""The catalogue entry of this family."""

from __future__ import annotations

from treadle.models.family import Family

FAMILY = Family(
    name="image_classifier",
    summary="CNN or vision transformer that says which class a picture belongs to",
    needs="labelled_images",
    config="treadle.models.image_classifier.config:ImageClassifierConfig",
    shapes="treadle.models.image_classifier.weights:weight_shapes",
    start="treadle.models.image_classifier.initialise:initial_weights",
    model="treadle.models.image_classifier.model:build",
)
