"""Runs the command line and the config classes of a checkout of cosmos-transfer2.5, as they are, without its models.

    python target25_parser.py CHECKOUT < requests.json > answers.json

Each request is a list of arguments; each answer has `samples`, `hints` and `setup`, or `refused`. Nothing of the
checkout is replaced; it needs what its parser needs: torch, pydantic, tyro and loguru.
"""

import importlib.util
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path


def answer(program, arguments):
    """What the program knows after it has read its command line and the files named there."""
    import tyro

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            found = tyro.cli(program.Args, args=arguments, config=(tyro.conf.OmitArgPrefixes,))
            samples, hints = program.InferenceArguments.from_files(found.input_files, overrides=found.overrides)
    except (Exception, SystemExit) as error:
        return {"refused": f"{type(error).__name__}: {error} {said.getvalue()}"}
    rows = [
        {**sample.model_dump(mode="json"), "weights": sample.control_weight_dict, "paths": sample.control_modalities}
        for sample in samples
    ]
    return {"samples": rows, "hints": hints, "setup": found.setup.model_dump(mode="json")}


def main():
    checkout = Path(sys.argv[1])
    sys.path[:0] = [str(checkout), *(str(checkout / "packages" / name) for name in ("cosmos-oss", "cosmos-cuda"))]
    requests = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):
        spec = importlib.util.spec_from_file_location("inference", checkout / "examples" / "inference.py")
        program = importlib.util.module_from_spec(spec)
        sys.modules["inference"] = program
        spec.loader.exec_module(program)
        answers = [answer(program, arguments) for arguments in requests]
    json.dump(answers, sys.stdout, default=str)


if __name__ == "__main__":
    main()
