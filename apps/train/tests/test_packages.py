"""Packages become repositories whose commit pins their content; prose of them, by kind of file; what is left out."""

import io
import json
import tarfile
from pathlib import Path

import pytest

import mine
import packages
import prose

MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy of this software\n"
GPL = "GNU GENERAL PUBLIC LICENSE Version 3\n"


def archive(folder: Path, files: dict[str, str], name: str = "thing-1.2.3.tgz") -> Path:
    path = folder / name
    with tarfile.open(path, "w:gz") as members:
        for inner, text in files.items():
            member = tarfile.TarInfo(f"package/{inner}")
            member.size = len(text.encode())
            members.addfile(member, io.BytesIO(text.encode()))
    return path


def files(version: str = "1.2.3", licence: str = MIT) -> dict[str, str]:
    source = {f"lib/{name}.js": f"/** Adds {name} to it. */\nfunction {name}(x) {{\n  return x;\n}}\n" for name in ("one", "two", "three")}
    return {"package.json": json.dumps({"version": version}), "LICENSE": licence, "README.md": "# Thing\n", "photo.png": "no text", **source}


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of archives by name; counts what was asked of it."""
    shelf, asked = {}, []

    def download(registry, wanted, folder):
        asked.append([name for name, _ in wanted])
        known = [(name, contents) for name, _ in wanted if (contents := shelf.get(name))]
        failed = len(known) < len(wanted)
        for name, contents in known if not failed or len(wanted) == 1 else []:
            archive(folder, contents, f"{name.split('/', 1)[1].replace('@', '').replace('/', '-')}-1.2.3.tgz")
        return type("Done", (), {"returncode": int(failed), "stderr": "not found"})

    monkeypatch.setattr(packages, "download", download)
    monkeypatch.setattr(packages, "MANIFEST", tmp_path / "packages.json")
    return shelf, asked


def test_a_commit_depends_on_the_files_alone(registry, tmp_path):
    shelf, _ = registry
    shelf["npm/thing"] = files()
    first, again = (packages.fetch(tmp_path / place, [("npm/thing", None)]) for place in ("a", "b"))
    assert first == again and first["npm/thing"][0] == "1.2.3"
    shelf["npm/thing"] = {**files(), "lib/one.js": "changed"}
    assert packages.fetch(tmp_path / "c", [("npm/thing", None)])["npm/thing"][1] != first["npm/thing"][1]


def test_what_is_there_is_not_fetched_again_and_one_failure_costs_the_others_nothing(registry, tmp_path):
    shelf, asked = registry
    shelf.update({"npm/one": files(), "npm/@scope/two": files()})
    found = packages.fetch(tmp_path, [("npm/one", None), ("npm/absent", None), ("npm/@scope/two", None)])
    assert list(found) == ["npm/one", "npm/@scope/two"]
    del asked[:]
    assert packages.fetch(tmp_path, [("npm/one", "1.2.3"), ("npm/@scope/two", "1.2.3")]) == found
    assert asked == []


def test_only_permissive_packages_get_into_the_manifest(registry, tmp_path, capsys):
    shelf, _ = registry
    shelf.update({"npm/free": files(), "npm/bound": files(licence=GPL), "npm/silent": {**files(), "LICENSE": ""}})
    packages.add(tmp_path / "folder", list(shelf), "train")
    (entry,) = packages.read_manifest()["repositories"]
    assert (entry["package"], entry["licence"], entry["languages"], entry["version"]) == ("npm/free", "MIT", ["javascript"], "1.2.3")
    assert "npm/bound" in capsys.readouterr().out


def test_other_content_under_the_same_version_ends_the_program(registry, tmp_path):
    shelf, _ = registry
    shelf["npm/thing"] = files()
    packages.add(tmp_path / "a", ["npm/thing"], "train")
    assert [entry["package"] for entry in packages.fetch_all(tmp_path / "b")] == ["npm/thing"]
    shelf["npm/thing"] = {**files(), "lib/two.js": "altered"}
    with pytest.raises(SystemExit, match="not those of the manifest"):
        packages.fetch_all(tmp_path / "c")


def test_a_fetched_package_is_mined_like_any_repository(registry, tmp_path):
    shelf, _ = registry
    shelf["npm/thing"] = files()
    packages.add(tmp_path, ["npm/thing"], "train")
    (entry,) = packages.read_manifest()["repositories"]
    (tmp_path / "out" / "extracted").mkdir(parents=True)
    counts = mine.mine_repository(str(tmp_path), str(tmp_path / "out"), entry)
    assert counts["files"]["javascript"] == 3


# ---------------------------------------------------------------- prose

PARAGRAPH = "A queue keeps what came first at its head, and gives it back before all that was added to it later."


def test_headings_and_the_paragraphs_below_them():
    marked = f"# Queues\n\n{PARAGRAPH}\n\n```js\ncode that is no prose at all, whatever its length may be, is left out here\n```\n\n## Use\n\n- item\n\n{PARAGRAPH}\n"
    underlined = f"Queues\n======\n\n{PARAGRAPH}\n\nUse\n---\n\n{PARAGRAPH}\n"
    page = f"<html><h1>Queues<a>¶</a></h1><p>{PARAGRAPH}</p><script>let x</script><h2>Use</h2><p>{PARAGRAPH}</p><p>short</p></html>"
    expected = [("Queues", PARAGRAPH), ("Queues: Use", PARAGRAPH)]
    assert list(prose.of_marked(marked, "file")) == list(prose.of_marked(underlined, "file")) == list(prose.of_html(page)) == expected


def test_definitions_of_wordnet():
    line = "00001740 03 n 02 entity 0 real_thing 0 001 ~ 00001930 n 0000 | that which exists; \"it was no entity\"  \n"
    assert list(prose.wordnet("  1 This is the licence\n" + line)) == [("entity, real thing", "that which exists; it was no entity")]


def test_no_sentence_of_an_evaluation_set_is_kept(tmp_path, monkeypatch):
    data = tmp_path / "data"
    (data / "nq").mkdir(parents=True)
    (data / "nq" / "corpus.json").write_text(json.dumps([{"title": "Queues", "text": f"Before it stands another sentence of some length. {PARAGRAPH}"}]))
    (data / "cosqa").mkdir()
    docstring = PARAGRAPH.replace("queue", "heap").replace("came first", "is least")
    (data / "cosqa" / "code_idx_map.json").write_text(json.dumps({f'def f():\n    """{docstring}"""\n    return 1': 0}))
    (data / "halueval").mkdir()
    (data / "halueval" / "qa.json").write_text('{"knowledge": "one"}\n{"knowledge": "two"}\n')
    monkeypatch.setattr(mine, "DATA", data)
    other = PARAGRAPH.replace("queue", "stack").replace("first", "last")
    (tmp_path / "npm" / "thing").mkdir(parents=True)
    (tmp_path / "npm" / "thing" / "README.md").write_text(f"# Kept\n\n{other}\n\n# Known\n\n{PARAGRAPH.upper()}\n\n# Function\n\n{docstring}\n\n# Twice\n\n{other}\n")
    counts = prose.write(tmp_path, tmp_path / "out", [{"repository": "npm/thing", "split": "train"}])
    lines = (tmp_path / "out" / "prose" / "train.jsonl").read_text().splitlines()
    assert counts["train"] == 1 and [json.loads(line)["title"] for line in lines] == ["Kept"]
