"""The video_flow family: short clips from noise, steered by control maps and phrases. README.md has the formulas."""
