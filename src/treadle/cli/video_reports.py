"""How answers about videos read in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.cli.layout import fact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_MOST_SEAMS = 10
_OF = {"maps": "as given", "model": "by a model"}


def _probe(report: Report, _: Mapping[str, Any]) -> list[str]:
    sound = ", with sound" if report["audio"] else ", no sound"
    clips = units.counted(report["clips"], "clip")
    waste = f", {report['waste']:.0%} of the frames made for nothing" if report["waste"] >= 0.005 else ""
    lines = [
        report["path"],
        fact("picture", f"{report['width']} x {report['height']}, {report['codec']} {report['pixel_format']}{sound}"),
        fact(
            "length",
            f"{units.counted(report['frames'], 'frame')}, {report['seconds']:.2f} s at {report['fps']:g} a second",
        ),
        fact("size", units.size(report["bytes"])),
        fact("Cosmos", f"{clips} of 121 frames{waste}"),
    ]
    if report["made_by"]:
        by = report["made_by"]
        lines.append(fact("made by", f"treadle {by.get('tool', '?')}"))
        lines += [fact("from", source.get("path", "?")) for source in by.get("sources", [])]
        lines.append(fact("with", ", ".join(f"{key}={value}" for key, value in by.get("options", {}).items())))
    return lines


def _written(report: Report) -> list[str]:
    length = f"{units.counted(report['frames'], 'frame')} at {report['fps']:g} a second"
    return [f"{report['out']}: {length}, {units.size(report['bytes'])}, in {units.duration(report['seconds'])}."]


def _controls(report: Report, _: Mapping[str, Any]) -> list[str]:
    if "given" not in report:
        return [*_written(report), fact("control", f"{report['control']}, strength {report['strength']}")]
    lines = [*_written(report), fact("control", f"{report['control']}, {_OF[report['given']]}")]
    if "sees" in report:
        lines.append(fact("model sees", f"{report['sees'][1]} x {report['sees'][0]}"))
    if "range" in report:
        lines.append(fact("depths", f"{report['range'][0]:.4g} (black) to {report['range'][1]:.4g} (white)"))
    return lines


def _interpolate(report: Report, arguments: Mapping[str, Any]) -> list[str]:
    if "check" not in report:
        return [*_written(report), fact("rate", f"{report['from_fps']:g} -> {report['to_fps']:g} frames a second")]
    found = report["check"]
    if not found["frames"]:
        return ["Nothing to check: the video needs at least three frames without a cut between them."]
    video = arguments.get("video", "VIDEO")
    return [
        f"{units.counted(found['frames'], 'frame')} left out and predicted from their neighbours (PSNR, median):",
        fact("following", f"{found['interpolated']:.1f} dB, at worst {found['worst']:.1f}"),
        fact("mean", f"{found['blended']:.1f} dB (both neighbours laid over each other)"),
        fact("repeating", f"{found['repeated']:.1f} dB (the frame before)"),
        fact("cuts", f"{found['cuts']}, where nothing is predicted"),
        f"Next: treadle video interpolate {video} --to 60 --out FILE.mp4",
    ]


def _smooth(report: Report, _: Mapping[str, Any]) -> list[str]:
    shake = f"{report['shake']:.2%} of the width in the mean"
    return [*_written(report), fact("shaking", f"{shake}, over {units.counted(report['scenes'], 'scene')}")]


def _deflicker(report: Report, _: Mapping[str, Any]) -> list[str]:
    changed = f"{units.counted(report['changed'], 'frame')} changed, by {report['greatest']:.1%} at most"
    none = "none found; the frames are as they were, stored anew"
    return [*_written(report), fact("flicker", changed if report["changed"] else none)]


def _chunk(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [
        f"{report['out']}: {units.counted(report['chunks'], 'piece')}, {report['frames']:,} frames.",
        fact("each", f"{report['length']} frames, {report['overlap']} of them shared with the one before"),
        f"Next: replace the pieces by what is made of them, then: treadle video stitch {report['out']} --out FILE.mp4",
    ]


def _stitch(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = _written(report)
    for seam in report["seams"][:_MOST_SEAMS]:
        found = f"{seam['difference']:.1f} grey levels apart where both overlap; z {seam['z']:.1f} in the result"
        lines.append(fact(f"frame {seam['frame']}", found))
    if len(report["seams"]) > _MOST_SEAMS:
        lines.append(f"  and {len(report['seams']) - _MOST_SEAMS} more; all of them with --json")
    return [*lines, fact("drift", f"{report['drift']:.1f} grey levels from beginning to end")]


def _coherence(report: Report, _: Mapping[str, Any]) -> list[str]:
    cuts = ", ".join(str(cut) for cut in report["cuts"][:20]) or "none"
    lines = [
        f"{units.counted(report['frames'], 'frame')}, {report['difference']:.1f} grey levels from one to the next.",
        fact("cuts", f"{len(report['cuts'])} at frame {cuts}" if report["cuts"] else "none"),
        fact("drift", f"{report['drift']:.1f} grey levels from beginning to end"),
    ]
    lines += [fact("seam", f"at frame {seam['frame']}: z {seam['z']:.1f}") for seam in report["seams"][:_MOST_SEAMS]]
    if not report["seams"]:
        lines.append(fact("seams", "none: no jump stands out from its neighbours"))
    if report["out"]:
        lines.append(fact("picture", report["out"]))
    return lines


def _compare(report: Report, _: Mapping[str, Any]) -> list[str]:
    if report["equal"]:
        lines = [f"All {report['frames']:,} frames are equal, bit for bit."]
    else:
        psnr, ssim = report["psnr"], report["ssim"]
        lines = [
            f"{units.counted(report['frames'], 'frame')} compared.",
            fact("PSNR", f"{psnr['mean']:.1f} dB, at worst {psnr['least']:.1f} at frame {report['worst_frame']}"),
            fact("SSIM", f"{ssim['mean']:.3f}, at worst {ssim['least']:.3f}"),
        ]
    return [*lines, fact("picture", report["out"])] if report["out"] else lines


def _plain(report: Report, _: Mapping[str, Any]) -> list[str]:
    return _written(report)


VIDEO_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "video.probe": _probe,
    "video.controls": _controls,
    "video.interpolate": _interpolate,
    "video.smooth": _smooth,
    "video.deflicker": _deflicker,
    "video.chunk": _chunk,
    "video.stitch": _stitch,
    "video.coherence": _coherence,
    "video.compare": _compare,
    "video.from-images": _plain,
}
