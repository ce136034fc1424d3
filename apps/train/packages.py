"""The mine by one command: source packages of npm, PyPI and Debian, pinned by name, version and content.

    python packages.py mine FOLDER OUTPUT      fetches what packages.json names, then mines it; goes on where it was stopped
    python packages.py fetch FOLDER            the first half alone
    python packages.py add FOLDER NAME…        adds npm/NAME, pypi/NAME or debian/NAME at its newest version; permissive licences only

Each package is fetched by its registry's own client, and no code of it runs. What can be mined of it becomes a git
repository FOLDER/REGISTRY/NAME whose one commit depends on its files alone, so that packages.json pins the content and
mine.py reads it like any other repository. OUTPUT gets what mine.py writes, and prose/SPLIT.jsonl.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import mine
import prose
from extract import EXTENSIONS

MANIFEST = Path(__file__).parent / "packages.json"
DOCUMENT = mine.DOCUMENT.with_name("packages.md")
WHEELS = "--only-binary=:all: --platform=manylinux_2_28_x86_64 --platform=manylinux2014_x86_64 --platform=any --python-version=3.12 --implementation=cp"
PROSE = ("md", "rst", "txt", "html")
TOGETHER = 20  # packages in one call of a registry's client
MOST_BYTES = 400_000  # of one file that is kept
_PAPER = re.compile(r"(?i)(^|/)(licen[cs]es?|copying|unlicense|copyright)[^/]*$")
_WORDNET = re.compile(r"/data\.(noun|verb|adj|adv)$")
_SECONDS = "2000000000 +0000"  # the date of every commit


class NotPermissive(Exception):
    """No licence of a package is known to be permissive, or one is known not to be."""


# ---------------------------------------------------------------- one package


def fetch(folder: Path, wanted: list[tuple[str, str | None]]) -> dict[str, tuple[str, str]]:
    """Fetches packages, (name, version or None), into git repositories; returns each one's (version, commit).

    What is there already is only read. A package that cannot be had is left out, and said.
    """
    found, missing = {}, {}
    for name, version in wanted:
        place = folder / name.replace("@", "")
        stamp = place / ".git" / "package-version"
        if stamp.exists() and version in (None, stamp.read_text()):
            found[name] = (stamp.read_text(), mine.git(place, "rev-parse", "HEAD").decode().strip())
        else:
            missing.setdefault(name.split("/", 1)[0], []).append((name, version))
    for registry, packages in missing.items():
        for start in range(0, len(packages), TOGETHER):
            with tempfile.TemporaryDirectory() as temporary:
                archives = download_some(registry, packages[start : start + TOGETHER], Path(temporary))
                for name, archive in archives.items():
                    try:
                        found[name] = lay_out(archive, Path(temporary) / "unpacked", folder / name.replace("@", ""), registry)
                    except (OSError, ValueError, StopIteration, tarfile.TarError, zipfile.BadZipFile, subprocess.CalledProcessError) as error:
                        print(f"left out  {name}: {error!r}", flush=True)
    return found


def lay_out(archive: Path, unpacked: Path, place: Path, registry: str) -> tuple[str, str]:
    shutil.rmtree(unpacked, ignore_errors=True)
    unpack(archive, unpacked)
    version = version_of(registry, archive.name, unpacked)
    shutil.rmtree(place, ignore_errors=True)
    keep(unpacked, place)
    commit = commit_all(place)
    (place / ".git" / "package-version").write_text(version)
    return version, commit


def download_some(registry: str, packages: list[tuple[str, str | None]], folder: Path) -> dict[str, Path]:
    """Archives by package name, in one call of the registry's client; where that fails, one by one."""
    done = download(registry, packages, folder)
    if done.returncode and len(packages) > 1:
        for package in packages:
            if not archive_of(package[0], folder):
                download(registry, [package], folder)
    archives = {name: archive for name, _ in packages if (archive := archive_of(name, folder))}
    for name, _ in packages:
        if name not in archives:
            print(f"left out  {name}: {done.stderr.strip()[-200:]}", flush=True)
    return archives


def download(registry: str, packages: list[tuple[str, str | None]], folder: Path) -> subprocess.CompletedProcess:
    sign = {"npm": "@", "pypi": "==", "debian": "="}[registry]
    specifications = [name.split("/", 1)[1] + (f"{sign}{version}" if version else "") for name, version in packages]
    command = {
        "npm": ["npm", "pack", "--silent"],
        "pypi": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *WHEELS.split()],
        "debian": ["apt-get", "download", "-qq"],
    }[registry]
    return subprocess.run([*command, *specifications], cwd=folder, capture_output=True, text=True)


def archive_of(name: str, folder: Path) -> Path | None:
    """The archive that a registry's client wrote for a package, by the client's way of naming files."""
    registry, own = name.split("/", 1)
    own = own.replace("@", "").replace("/", "-")
    for path in sorted(folder.glob("*.*")):
        if registry == "pypi" and re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower() == re.sub(r"[-_.]+", "-", own).lower():
            return path
        if registry == "debian" and path.name.split("_")[0] == own:
            return path
        if registry == "npm" and re.fullmatch(rf"{re.escape(own)}-\d+\.\d+\.\d+.*\.tgz", path.name):
            return path
    return None


def unpack(archive: Path, folder: Path) -> None:
    folder.mkdir()
    if archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True)
    elif archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as members:
            members.extractall(folder)
    else:
        with tarfile.open(archive) as members:
            members.extractall(folder, filter="data")


def version_of(registry: str, archive: str, unpacked: Path) -> str:
    if registry == "npm":
        return json.loads(next(unpacked.glob("*/package.json")).read_text())["version"]
    return archive.split("-")[1] if registry == "pypi" else archive.split("_")[1].replace("%3a", ":")


def keep(unpacked: Path, place: Path) -> None:
    """Copies source, prose and licences; a licence comes to the top, where mine.py looks for it."""
    papers = 0
    for path in sorted(unpacked.rglob("*")):
        inner = path.relative_to(unpacked).as_posix()
        if path.is_symlink() or not path.is_file():
            continue
        if _PAPER.search(inner) and path.suffix.lower() not in (".py", ".js", ".ts") and inner.count("/") <= 5 and not re.search(r"(?i)vendor|node_modules", inner):
            target, papers = place / f"LICENSE-{papers}.txt", papers + 1
        elif (path.suffix.lower().lstrip(".") in (*EXTENSIONS, *PROSE) or _WORDNET.search(inner)) and path.stat().st_size <= (MOST_BYTES if not _WORDNET.search(inner) else 1e9):
            target = place / re.sub(r"^package/", "", inner)
        else:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if not place.exists():
        raise ValueError("nothing in it can be mined")


def commit_all(place: Path) -> str:
    fixed = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in (("NAME", "mine"), ("EMAIL", "mine"), ("DATE", _SECONDS))}
    environment = {**os.environ, **fixed, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for command in (["init", "-q", "-b", "main"], ["add", "-A", "-f"], ["commit", "-q", "-m", "package"]):
        subprocess.run(["git", "-C", str(place), "-c", "core.autocrlf=false", "-c", "gc.auto=0", *command], check=True, env=environment)
    return mine.git(place, "rev-parse", "HEAD").decode().strip()


# ---------------------------------------------------------------- the manifest


def read_manifest() -> dict:
    return json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {"repositories": []}


def add(folder: Path, names: list[str], split: str) -> None:
    """Adds packages with a permissive licence to packages.json; says which are left out, and why."""
    known = {entry["repository"]: entry for entry in read_manifest()["repositories"]}
    fresh = [name for name in names if name.replace("@", "") not in known]
    for name, (version, commit) in fetch(folder, [(name, None) for name in fresh]).items():
        try:
            known[name.replace("@", "")] = describe(folder, name, version, commit, split)
        except NotPermissive as error:
            print(f"left out  {name}: {error}", flush=True)
    mine.write_manifest(MANIFEST, list(known.values()))
    print(f"{len(known)} packages in {MANIFEST.name}")


def describe(folder: Path, name: str, version: str, commit: str, split: str) -> dict:
    place = folder / name.replace("@", "")
    texts = [path.read_text(errors="replace") for path in sorted(place.glob("LICENSE-*.txt"))]
    licences = [found for found in map(mine.licence_of, texts) if found]
    if not licences or any(mine.is_restricted(text) for text in texts):
        raise NotPermissive(f"no permissive licence among {len(texts)} licence files")
    files = [path for path in mine.git(place, "ls-tree", "-r", "--name-only", commit).decode().splitlines() if not mine.is_foreign(path)]
    counts = Counter(EXTENSIONS.get(path.rsplit(".", 1)[-1]) for path in files)
    languages = sorted(language for language, count in counts.items() if language not in (None, "markdown") and count >= 3)
    return {"package": name, "version": version, "repository": name.replace("@", ""), "commit": commit, "licence": licences[0], "languages": languages, "split": split}  # fmt: skip


def fetch_all(folder: Path) -> list[dict]:
    """Fetches every package of packages.json; ends the program where one cannot be had, or has other files."""
    entries = read_manifest()["repositories"]
    found = fetch(folder, [(entry["package"], entry["version"]) for entry in entries])
    failed = [
        f"{entry['package']} {entry['version']}: " + ("its files are not those of the manifest" if entry["package"] in found else "not to be had")
        for entry in entries
        if found.get(entry["package"], ("", ""))[1] != entry["commit"]
    ]  # fmt: skip
    if failed:
        sys.exit("These packages could not be mined:\n  " + "\n  ".join(failed))
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    mining = commands.add_parser("mine")
    mining.add_argument("folder", type=Path)
    mining.add_argument("output", type=Path)
    mining.add_argument("--workers", type=int, default=1)
    commands.add_parser("fetch").add_argument("folder", type=Path)
    adding = commands.add_parser("add")
    adding.add_argument("folder", type=Path)
    adding.add_argument("names", nargs="+")
    adding.add_argument("--split", choices=mine.SPLITS, default="train")
    chosen = parser.parse_args()
    if chosen.command == "add":
        add(chosen.folder, chosen.names, chosen.split)
        return
    entries = fetch_all(chosen.folder)
    if chosen.command == "mine":
        mine.mine(chosen.folder, chosen.output, chosen.workers, entries, DOCUMENT)
        prose.write(chosen.folder, chosen.output, entries)


if __name__ == "__main__":
    main()
