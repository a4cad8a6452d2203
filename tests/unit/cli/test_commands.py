"""What people type and what they get."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.fakes.office import PASSWORD, Office
from tests.unit.cli.conftest import Dosvm


def test_a_list_is_rows_in_json_and_yaml(dosvm: Dosvm, office: Office) -> None:
    office.user("zhao")
    office.user("qian")
    rows = json.loads(dosvm("user", "list", "-o", "json").out)
    assert [row["name"] for row in rows] == ["qian", "zhao"]
    assert yaml.safe_load(dosvm("user", "list", "-oyaml").out) == rows


def test_a_table_is_aligned_whatever_the_script(dosvm: Dosvm, office: Office) -> None:
    office.user("zhao")
    office.sysadm("user.edit", user="zhao", display_name="赵钱孙李", phone="1")
    office.user("a-much-longer-account")
    office.sysadm("user.edit", user="a-much-longer-account", display_name="Lee", phone="2")
    head, *lines = dosvm("user", "list").out.splitlines()
    assert head.split() == ["Account", "Name", "Project", "Phone", "Frozen", "E-mail", "Created"]
    # 赵钱孙李 takes eight cells, Lee three: the phone is under its title in both.
    column = head.index("Phone")
    assert lines[0][column] == "2"
    assert lines[1][column - 4] == "1"


def test_a_table_cannot_steer_the_terminal(dosvm: Dosvm, office: Office) -> None:
    from core.model import ProjectGroup

    office.fill(ProjectGroup(name="x\x1b[2Jy", directory="/srv/x"))
    assert "\x1b" not in dosvm("project-group", "list").out


@pytest.mark.parametrize("name", ["[red]x", "'; DROP TABLE user", "网" * 64, "🐧", "-x", "a,b=c"])
def test_any_name_is_only_a_name(dosvm: Dosvm, office: Office, name: str) -> None:
    office.project("web")
    done = dosvm("project-group", "add", "--directory", "/srv/vm/x", "--", name)
    assert done.code == 0, done.err
    assert json.loads(dosvm("project-group", "show", "-o", "json", "--", name).out)["name"] == name
    assert dosvm("project-group", "add-project", "--", name, "web").code == 0
    assert json.loads(dosvm("project", "show", "web", "-o", "json").out)["groups"] == sorted(["web-group", name])


def test_everything_for_a_project_by_commands(dosvm: Dosvm, office: Office, file: Callable[[str, str], str]) -> None:
    office.host("server1")
    secret = file("zhao.pw", "Zha0-secret-9\n")
    for command in (
        ["project-group", "add", "acme", "--directory", "/srv/acme"],
        ["project", "add", "web", "--group", "acme", "--description", "Web shop"],
        ["project", "configure", "web", "--max-instances", "4", "--max-memory", "1GiB", "--max-disk=4GiB"],
        ["user", "add", "zhao", "--display-name", "赵", "--project", "web", "--new-password-file", secret],
        ["host-group", "add", "all", "--host", "server1"],
        ["project", "configure", "web", "--add-host-group", "all"],
    ):
        done = dosvm(*command)
        assert done.code == 0, done.err
        assert done.err == ""
    row = json.loads(dosvm("project", "show", "web", "-o", "json").out)
    assert row["max_memory"] == 1024**3
    assert row["admins"] == ["zhao"]
    assert row["host_groups"] == ["all"]
    dosvm("project", "configure", "web", "--remove-host-group", "all")
    assert json.loads(dosvm("project", "show", "web", "-o", "json").out)["host_groups"] == []


def test_what_cannot_be_sorted_by_names_what_can(dosvm: Dosvm, office: Office) -> None:
    done = dosvm("user", "list", "--sort", "nope")
    assert done.code == 2
    assert "--sort takes a column" in done.err
    assert "display_name" in done.err


@pytest.mark.parametrize(("area", "column"), [("user", "description"), ("host", "port_error"), ("task", "error")])
def test_what_is_refused_as_an_order_is_not_named_as_one(dosvm: Dosvm, office: Office, area: str, column: str) -> None:
    done = dosvm(area, "list", "--sort", column)
    assert done.code == 2
    assert column not in done.err.partition(": ")[2].rstrip(".").split(": ")[-1].split(", ")


def test_a_needed_option_with_a_default_is_not_called_needed(dosvm: Dosvm) -> None:
    (line,) = [line for line in dosvm("image", "add", "--help", who="").out.splitlines() if "raw|iso" in line]
    text = dosvm("image", "add", "--help", who="").out
    after = text[text.index(line) + len(line) :].split("--")[0]
    assert "Default: raw" in line + after
    assert "(needed)" not in line + after


def test_who_may_is_said_without_words_of_the_inside(dosvm: Dosvm, office: Office) -> None:
    office.project("web", admin="demo")
    said = dosvm("volume", "accept", "local/x", "--format", "raw", who="demo").err
    assert "demo may not do this: the system administrator may." in said
    assert "volume.accept" not in said


def test_search_filter_sort_and_limit(dosvm: Dosvm, office: Office) -> None:
    for name in ("a1", "b2", "a3"):
        office.user(name)
    office.sysadm("user.freeze", user="b2")

    def names(*words: str) -> list[str]:
        return [row["name"] for row in json.loads(dosvm("user", "list", "-o", "json", *words).out)]

    assert names("--search", "A") == ["a1", "a3"]
    assert names("--filter", "frozen=yes") == ["b2"]
    assert names("--sort", "-name") == ["b2", "a3", "a1"]
    assert names("--limit", "2") == ["a1", "a3"]


def test_long_lists_come_whole(dosvm: Dosvm, office: Office) -> None:
    from core.model import ProjectGroup

    office.fill(*(ProjectGroup(name=f"g{i:04}", directory=f"/srv/{i}") for i in range(1203)))
    assert len(json.loads(dosvm("project-group", "list", "-o", "json").out)) == 1203


def test_refused_is_one_line_and_1(dosvm: Dosvm, office: Office) -> None:
    office.project("web", admin="zhao")
    for who, command in (
        ("zhao", ["user", "list"]),
        ("sysadm", ["project", "show", "nothing"]),
        ("sysadm", ["project-group", "add", "x", "--directory", "relative"]),
        ("sysadm", ["project-group", "delete", "web-group", "--yes"]),
        ("nobody", ["user", "list"]),
    ):
        done = dosvm(*command, who=who)
        assert done.code == 1
        assert done.out == ""
        assert len(done.err.splitlines()) == 1
        assert "Traceback" not in done.err
        assert done.err.startswith("dosvm: ")


def test_a_bad_value_names_its_option(dosvm: Dosvm, office: Office) -> None:
    done = dosvm("project-group", "add", "x", "--directory", "relative")
    assert done.err == "dosvm: --directory: An absolute path is needed, such as /srv/vm.\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["vmm", "list"], "Did you mean vm?"),
        (["user", "lst"], "Did you mean list?"),
        (["user", "list", "--serch", "x"], "Did you mean --search?"),
        (["user", "show"], "USER is missing"),
        (["user", "show", "a", "b"], "b is one word too many. `dosvm user show --help` shows"),
        (["instance", "add", "big", "--memory", "999TiB"], "--memory: At most 64 TiB."),
        (["volume", "grow", "local/vol1", "512MiB"], "512MiB is one word too many. `dosvm volume grow --help` shows"),
        (["user", "list", "a"], "a is one word too many. `dosvm user list --help` shows"),
        (["project", "add"], "NAME is missing"),
        (["project", "add", "web"], "--group is missing"),
        (["pool", "add", "p", "--capacity", "1GiB"], "--host is missing"),
        (["pool", "add", "p", "--type", "dos", "--capacity", "1GiB"], "--path is missing"),
        (["pool", "add", "p", "--type", "netfs", "--path", "/mnt/p"], "--server is missing"),
        (["project", "configure", "web", "--max-memory", "lots"], "--max-memory: A size"),
        (["project", "configure", "web", "--max-vcpus", "²"], "--max-vcpus: A whole number"),
        (
            ["project", "configure", "web", "--max-vcpus", "9" * 20],
            "--max-vcpus: A whole number from 0 to 1000000 is needed.",
        ),
        (["project", "configure", "web", "--max-vcpus", "-1"], "--max-vcpus: At least 0"),
        (["user", "list", "-o", "xml"], "table, json, yaml"),
        (["user", "list", "--limit", "0"], "At least 1"),
        (["user", "list", "--filter", "colour=red"], "frozen, project"),
        (["project-group", "add", "x", "--directory"], "--directory needs a value"),
        (["project-group", "add", "x", "--directory", "/a", "--directory", "/b"], "given twice"),
        (["project", "delete", "web"], "--yes"),
        (["instance", "add", "x", "--disk", "volume=a/b,colour=red"], "no key colour"),
        (["instance", "add", "x", "--disk", "volume=a/b,virtio"], "virtio is not KEY=VALUE"),
        (["instance", "add", "x", "--graphics", "rdp"], "not one of: vnc, spice"),
    ],
)
def test_a_wrong_command_line_is_told_and_2(dosvm: Dosvm, office: Office, words: list[str], hint: str) -> None:
    done = dosvm(*words)
    assert done.code == 2
    assert hint in done.err
    assert len(done.err.splitlines()) == 1


def test_secrets_are_never_options(dosvm: Dosvm, office: Office) -> None:
    done = dosvm("user", "add", "zhao", "--new-password", "Zha0-secret-9")
    assert done.code == 2
    assert "Zha0" not in done.err


def test_the_password_comes_from_the_environment(dosvm: Dosvm, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSVM_ACCOUNT", "sysadm")
    monkeypatch.setenv("DOSVM_PASSWORD", PASSWORD)
    assert dosvm("user", "list", who="").code == 0
    monkeypatch.setenv("DOSVM_PASSWORD", "wrong")
    assert dosvm("user", "list", who="").code == 1


def test_nobody_to_ask_is_told(dosvm: Dosvm, office: Office) -> None:
    assert "--as is missing" in dosvm("user", "list", who="").err


def test_ones_own_profile_needs_no_name(dosvm: Dosvm, office: Office, file: Callable[[str, str], str]) -> None:
    office.project("web", admin="zhao")
    assert json.loads(dosvm("profile", "show", "-o", "json", who="zhao").out)["name"] == "zhao"
    assert dosvm("profile", "edit", "--phone", "12345", who="zhao").code == 0
    new = file("new.pw", "Another-secret-1")
    assert dosvm("profile", "change-password", "--new-password-file", new, who="zhao").code == 0
    assert dosvm("profile", "show", who="zhao").code == 1


def test_what_show_prints_makes_another(dosvm: Dosvm, office: Office, home: Path) -> None:
    office.sysadm("project-group.add", name="one", directory="/srv/vm/one", description="two\nlines: [red]")
    text = dosvm("project-group", "show", "one", "-o", "yaml").out
    path = home / "group.yaml"
    path.write_text(text.replace("/srv/vm/one", "/srv/vm/two"))
    done = dosvm("project-group", "add", "two", "-f", str(path))
    assert done.code == 0, done.err
    row = json.loads(dosvm("project-group", "show", "two", "-o", "json").out)
    assert (row["directory"], row["description"]) == ("/srv/vm/two", "two\nlines: [red]")


@pytest.mark.parametrize(
    ("text", "hint"),
    [("colour: red", "unknown key colour"), ("[1, 2]", "keys and values"), ("a: [", "not YAML (line"), ("", "keys")],
)
def test_a_bad_file_is_told(
    dosvm: Dosvm, office: Office, file: Callable[[str, str], str], text: str, hint: str
) -> None:
    done = dosvm("project-group", "add", "x", "-f", file("x.yaml", text))
    assert done.code == 2
    assert hint in done.err
    assert "cannot be read" in dosvm("project-group", "add", "x", "-f", "/nowhere/x.yaml").err


def test_several_at_once_report_each(dosvm: Dosvm, office: Office) -> None:
    office.user("zhao")
    office.user("qian")
    done = dosvm("user", "freeze", "zhao", "nobody", "qian")
    assert done.code == 1
    assert done.err == "dosvm: nobody: There is no user nobody.\n"
    assert done.out == "Freeze zhao: done\nFreeze qian: done\n"
    restored = dosvm("user", "unfreeze", "zhao", "qian", "-o", "json")
    assert [row["frozen"] for row in json.loads(restored.out)] == [False, False]


def test_what_is_wrong_with_a_value_is_said_in_the_readers_language(dosvm: Dosvm) -> None:
    said = dosvm("volume", "add", "q", "--pool", "p", "--capacity", "10", "--lang", "zh").err
    assert "--capacity：需要带单位的容量" in said


def test_help_is_made_from_the_declarations(dosvm: Dosvm) -> None:
    assert "host-group" in dosvm("--help", who="").out
    assert "configure" in dosvm("project", "--help", who="").out
    assert "Accept (the system administrator)\n" in dosvm("volume", "--help", who="").out
    assert "Grow\n" in dosvm("volume", "--help", who="").out
    assert "接纳（系统管理员）" in dosvm("volume", "--help", "--lang", "zh", who="").out
    shown = dosvm("project", "configure", "--help", who="").out
    assert "--add-host-group" in shown
    whole = [line.strip() for line in shown.splitlines() if "This is the whole list" in line]
    assert not [line for line in whole if line.startswith(("--add-", "--remove-"))]
    assert [line for line in whole if line.startswith("--pool ")]
    assert "项目" in dosvm("project", "add", "--help", "--lang", "zh", who="").out


def test_without_a_hostd_it_says_so(dosvm: Dosvm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.rpc.signature import create_key

    done = dosvm("user", "list")
    assert done.code == 1
    assert "dosvm init" in done.err
    create_key(home / "cluster.key")
    monkeypatch.setattr("dosvm_tui.wiring.PATIENCE", 0.1)
    done = dosvm("user", "list")
    assert done.code == 1
    assert "hostd does not answer" in done.err


def test_chinese(dosvm: Dosvm, office: Office) -> None:
    assert dosvm("user", "show", "nobody", "--lang", "zh").err == "dosvm: 没有用户 nobody。\n"
    assert dosvm("user", "list", "--lang=zh_CN").out.startswith("账号")


def test_a_language_that_there_is_not_is_refused_with_those_that_there_are(dosvm: Dosvm, office: Office) -> None:
    for words in (("--lang", "fr"), ("--lang=fr_FR.UTF-8",), ("--lang", "")):
        done = dosvm("user", "list", *words)
        assert done.code == 2
        assert done.out == ""
        assert "There is no language" in done.err
        assert "en (English), zh (中文)" in done.err
    for name, head in (("zh-TW", "账号"), ("ZH", "账号"), ("en_GB.UTF-8", "Account")):
        assert dosvm("user", "list", "--lang", name).out.startswith(head)


def test_an_environment_in_another_language_is_answered_in_english(
    dosvm: Dosvm, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, head in (("fr_FR.UTF-8", "Account"), ("C.UTF-8", "Account"), ("zh_CN.UTF-8", "账号")):
        monkeypatch.setenv("LANG", name)
        done = dosvm("user", "list")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(head)


def test_a_uuid_that_is_nobodys_or_somebody_elses_is_answered_alike(dosvm: Dosvm, office: Office) -> None:
    web, shop = office.project("web"), office.project("shop")
    web("instance.add", name="one", vcpus=1, memory=64 << 20)
    foreign = web("instance.show", instance="one")["uuid"]
    never = "3f6b1c52-1111-4222-8333-944455556666"
    shop("instance.add", name="two", vcpus=1, memory=64 << 20)
    for reference in (foreign, never, "one"):
        done = dosvm("instance", "show", reference, who="shop-admin")
        assert done.code == 1
        assert done.err == f"dosvm: There is no instance {reference}.\n"


def test_a_quota_below_what_is_used_is_a_warning(dosvm: Dosvm, office: Office) -> None:
    web = office.project("web")
    for name in ("one", "two"):
        web("instance.add", name=name, vcpus=1, memory=64 << 20)
    done = dosvm("project", "configure", "web", "--max-instances", "1")
    assert done.code == 0
    assert "done" in done.out
    assert "web: --max-instances: 2 are in use: nothing can be added until less is." in done.err


def test_a_project_group_is_a_row_for_each_project_to_people_and_one_object_to_programs(
    dosvm: Dosvm, office: Office
) -> None:
    office.project("web")
    office.project("shop")
    office.sysadm("project-group.add-project", project_group="web-group", project="shop")
    table = dosvm("project-group", "list", "--search", "web-group").out.splitlines()
    assert [line.split()[:2] for line in table[1:]] == [["web-group", "web"], ["web-group", "shop"]]
    rows = json.loads(dosvm("project-group", "list", "--search", "web-group", "-o", "json").out)
    assert [(row["name"], row["projects"]) for row in rows] == [("web-group", ["shop", "web"])]


def test_run_time_is_days_and_a_clock(dosvm: Dosvm, office: Office) -> None:
    office.project("web")
    assert "0 d 00:00:00" in dosvm("usage", "list").out
    assert "VCPU run time" in dosvm("project", "show", "web").out


def test_settings_lose_nothing_that_was_not_told(dosvm: Dosvm, office: Office) -> None:
    office.project("web", admin="zhao")
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    said = dosvm("settings", "edit", "--trash-days", "0")
    assert said.code == 1
    assert "go for good: zhao" in said.err
    assert "--lose" in said.err
    assert dosvm("settings", "edit", "--trash-days", "0", "--lose").code == 0


def test_details_end_with_what_people_read(dosvm: Dosvm, office: Office) -> None:
    """Keys that only programs read are in JSON."""
    office.project("web", admin="zhao")
    lines = dosvm("user", "show", "zhao").out.splitlines()
    labels = [line.split("  ")[0] for line in lines]
    assert "UUID" in labels
    assert not {"uuid", "version", "role", "project_active"} & set(labels)
    assert {"uuid", "version"} <= json.loads(dosvm("user", "show", "zhao", "-o", "json").out).keys()


def test_filters_that_can_fit_nothing_say_so(dosvm: Dosvm, office: Office) -> None:
    office.project("web")
    done = dosvm("vm", "list", "--filter", "host=nowhere")
    assert done.code == 1
    assert "There is no host nowhere." in done.err
    span = ["--filter", "since=2026-01-31 12:00", "--filter", "until=2026-01-31 11:00"]
    done = dosvm("log", "list", *span)
    assert done.code == 1
    assert "The span ends before it begins." in done.err
