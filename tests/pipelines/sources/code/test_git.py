from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest
from dulwich import porcelain
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

from pipelines.sources.code.git_tree import GitTree, RevisionError, commit_of, open_commit, web_address
from pipelines.sources.code.tree import walk
from pipelines.sources.record import Failure, Record

from .conftest import WHO, Files, commit, read, reasons, source, without_git


def test_a_repository_is_read_at_its_head(library: Files, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    first = commit(folder, library)
    (folder / "json" / "new.py").write_text("not = 'committed'\n")
    outcomes = read(source(paths=[str(folder)]))
    assert reasons(outcomes) == {
        "blob/HEAD/LICENSE": "licence-file",
        **{f"blob/HEAD/{name}": "kept" for name in library if name != "LICENSE"},
    }
    record = next(one for one in outcomes if one.uri.endswith("json/decoder.py"))
    assert isinstance(record, Record)
    assert record.content == library["json/decoder.py"]
    assert record.body == library["json/decoder.py"].decode()
    assert (record.kind, record.license, record.content_type) == ("code", "MIT", "text/plain")
    assert record.metadata == {
        "repository": "project", "commit": first, "revision": "HEAD", "path": "json/decoder.py", "language": "Python",
        "language_type": "programming", "license_stated": "the licence file's text", "license_file": "LICENSE",
    }  # fmt: skip


def test_bare_working_packed_and_folder_say_the_same(library: Files, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    commit(folder, library)
    bare = tmp_path / "copies" / "project.git"
    bare.parent.mkdir()
    porcelain.clone(str(folder), str(bare), bare=True)
    loose = read(source(paths=[str(folder)]))
    porcelain.repack(str(folder))
    packed = read(source(paths=[str(folder)]))
    assert packed == loose
    assert [(one.content, reasons([one])) for one in read(source(paths=[str(bare)]))] == [
        (one.content, reasons([one])) for one in loose
    ]
    plain = read(source(paths=[str(without_git(folder, tmp_path / "plain"))]))
    assert [one.content for one in plain] == [one.content for one in loose]


def test_a_commit_a_tag_and_a_branch(library: Files, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    first = commit(folder, library)
    porcelain.tag_create(str(folder), b"v1", author=WHO, message=b"one", annotated=True, objectish=first.encode())
    second = commit(folder, {"json/more.py": b"more = 1\n"}, b"b")
    porcelain.branch_create(str(folder), "old", objectish=first)
    for revision, expected in (("v1", first), ("old", first), (first, first), ("HEAD", second), ("master", second)):
        assert commit_of(folder, revision) == expected
        outcomes = read(source(git=[{"url": str(folder), "revision": revision, "stars": 7}]))
        assert any(one.uri.endswith("more.py") for one in outcomes) is (expected == second)
        record = next(one for one in outcomes if isinstance(one, Record))
        assert (record.metadata["commit"], record.metadata["stars"]) == (expected, 7)
    with pytest.raises(RevisionError, match="no commit, branch or tag is called 'v2'; its branches: master, old"):
        source(git=[{"url": str(folder), "revision": "v2"}]).units()


def test_sizes_are_those_of_the_objects(tmp_path: Path) -> None:
    """Of loose objects, whole packed ones and deltas, with sizes at the borders of their encodings."""
    randomness = random.Random(1)
    base = randomness.randbytes(3000)
    sizes = (0, 1, 15, 16, 127, 128, 2047, 2048, 20_000, 300_000)
    files = {f"f{size}": randomness.randbytes(size) for size in sizes}
    files |= {f"d{number}": base + b"%d" % number * number for number in range(20)}
    commit(tmp_path / "r", files)
    for _ in range(2):
        with open_commit(tmp_path / "r", commit_of(tmp_path / "r", "HEAD")) as tree:
            found = {node.name: node.size for folder in walk(tree) for _, _, node in folder.files()}
            assert found == {name: len(content) for name, content in files.items()}
        repository = Repo(str(tmp_path / "r"))
        repository.object_store.repack()
        repository.close()
    pack = next((tmp_path / "r" / ".git" / "objects" / "pack").glob("*.pack"))
    assert pack.stat().st_size < 600_000


def test_links_submodules_and_huge_files_are_named_not_followed(library: Files, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    commit(folder, {**library, "big.py": b"x = 1\n" * 1000})
    repository = Repo(str(folder))
    store = repository.object_store
    head = store[repository.head()]
    assert isinstance(head, Commit)
    tree = store[head.tree]
    assert isinstance(tree, Tree)
    target = Blob.from_string(b"/etc/passwd")
    store.add_object(target)
    tree.add(b"link.py", stat.S_IFLNK, target.id)
    tree.add(b"module", 0o160000, head.id)
    tree.add(b"caf\xe9.py", 0o100644, target.id)
    store.add_object(tree)
    head.tree = tree.id
    store.add_object(head)
    repository.refs[b"refs/heads/master"] = head.id
    repository.close()
    outcomes = read(source(paths=[str(folder)], max_file_bytes=5000, drop=[]))
    found = reasons(outcomes)
    assert found["blob/HEAD/link.py"] == "symbolic-link"
    assert found["blob/HEAD/module"] == "submodule"
    assert found["blob/HEAD/big.py"] == "huge-file"
    assert found["blob/HEAD/caf%E9.py"] == "kept"
    assert "passwd" not in "".join(
        str(one.body) for one in outcomes if isinstance(one, Record) and "caf" not in one.uri
    )


def test_a_damaged_object_costs_its_file_alone(library: Files, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    commit(folder, library)
    name = Blob.from_string(library["json/scanner.py"]).id.decode()
    path = folder / ".git" / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"garbage", content[:20] + b"\xff" * 20 + content[40:]):
        path.write_bytes(damaged)
        outcomes = read(source(paths=[str(folder)]))
        assert reasons(outcomes)["blob/HEAD/json/scanner.py"] == "failed damaged-repository"
        assert len(outcomes) == len(library)
        assert sum(isinstance(one, Failure) for one in outcomes) == 1
    path.unlink()
    assert reasons(read(source(paths=[str(folder)])))["blob/HEAD/json/scanner.py"] == "failed damaged-repository"


def test_where_it_was_cloned_from_is_its_name(library: Files, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    commit(folder, library)
    repository = Repo(str(folder))
    config = repository.get_config()
    config.set((b"remote", b"origin"), b"url", b"https://user:token@example.org/owner/name.git")
    config.write_to_path()
    repository.close()
    record = next(one for one in read(source(paths=[str(folder)])) if isinstance(one, Record))
    assert record.metadata["repository"] == "https://example.org/owner/name"
    assert record.uri.startswith("https://example.org/owner/name/blob/HEAD/")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("git@github.com:a/b.git", "https://github.com/a/b"),
        ("ssh://git@host.org:2222/a/b.git", "https://host.org/a/b"),
        ("https://u:p@host.org:8443/a/b/", "https://host.org:8443/a/b"),
        ("http://host.org/a/b.git", "https://host.org/a/b"),
        ("/srv/git/a.git", None),
        ("../a", None),
        ("C:/a/b", None),
    ],
)
def test_addresses(url: str, address: str | None) -> None:
    assert web_address(url) == address


def test_a_commit_that_is_gone(library: Files, tmp_path: Path) -> None:
    commit(tmp_path / "r", library)
    with pytest.raises(RevisionError, match="fetch it again"), open_commit(tmp_path / "r", "0" * 40):
        pass
    with pytest.raises(RevisionError, match="no git repository"):
        GitTree(tmp_path, "0" * 40)
