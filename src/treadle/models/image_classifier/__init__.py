"""The image_classifier family: which of some classes a picture shows. README.md says what each setting computes."""
