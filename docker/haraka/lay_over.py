#!/usr/bin/env python3
"""Fit a configuration that was laid over the image into the lab, and say line by line what was kept and overridden.

Run by the entry point when /lab/laid-over.txt is there. Rules and reasons are in overlay.toml.
"""

from __future__ import annotations

from pathlib import Path

from laid_over import Sayings, laid_files, make_readable, read_rules

FOLDER = Path("/var/lib/haraka")
CONFIG, OWN_PLUGINS = FOLDER / "config", FOLDER / "plugins"
IMAGE = Path("/usr/share/mta-sts-lab/config")
PACKAGED = Path("/usr/share/mta-sts-lab/packaged")


def main() -> None:
    """Set what the lab must in the folder of Haraka, and say what is kept."""
    sayings = Sayings()
    laid = laid_files()
    make_readable(laid)
    rules = read_rules()
    for path in map(Path, laid):
        if not path.is_relative_to(CONFIG):
            sayings.say("kept", str(path))
            continue
        name = str(path.relative_to(CONFIG))
        theirs = path.read_text(errors="replace")
        if name in rules["unused"]:
            for line in said_by(theirs):
                if line not in said_by(packaged(name)):
                    sayings.say("unused", f"{name}: {line}", rules["unused"][name])
            put_back(name)
        elif name == "plugins":
            path.write_text(plugins(theirs, rules, sayings))
        else:
            path.write_text(settled(name, theirs, rules, sayings))
    sayings.write()


def packaged(name: str) -> str:
    """Return what the package has of a file; empty if it has none."""
    file = PACKAGED / name
    return file.read_text() if file.is_file() else ""


def put_back(name: str) -> None:
    """Have the image's file again, or none where it has none."""
    of_the_image = next((file for file in (IMAGE / name, PACKAGED / name) if file.is_file()), None)
    if of_the_image:
        (CONFIG / name).write_bytes(of_the_image.read_bytes())
    else:
        (CONFIG / name).unlink()


def said_by(text: str) -> list[str]:
    """Return the lines that say something."""
    return [line for line in map(str.strip, text.splitlines()) if line and line[0] not in "#;"]


def plugins(theirs: str, rules: dict, sayings: Sayings) -> str:
    """Return the list of plug-ins of the run: the lab's, and those of the operator that route mail or are his own."""
    names = ["status", "relay"]
    for name in said_by(theirs):
        own = any((OWN_PLUGINS / f"{name}{ending}").is_file() for ending in (".js", "/index.js"))
        if own or name in rules["plugins"]["kept"]:
            sayings.say("kept", f"plugins: {name}")
            names += [name] if own else []
        else:
            sayings.say("unused", f"plugins: {name}", rules["plugins"]["why"])
    sayings.say("added", "plugins: status, relay", "the lab injects the mail, and reads the queue")
    return "".join(f"{name}\n" for name in names)


def settled(name: str, theirs: str, rules: dict, sayings: Sayings) -> str:
    """Return a file of the run, and say what becomes of each line of the operator's."""
    overridden = rules["overridden"].get(name, {})
    ours = dict(rules["lab"].get(name, {}))
    lines = []
    for line in said_by(theirs):
        key = line.partition("=")[0].strip()
        if key in overridden:
            sayings.say("overridden", f"{name}: {line} -> the lab's", overridden[key])
            continue
        lines.append(line)
        if line.startswith("[") and (setting := ours.pop(line.strip("[]"), "")):
            lines.append(setting)
        elif line not in said_by(packaged(name)):
            sayings.say("kept", f"{name}: {line}")
    # Settings before any section stand first, a section that the file does not have stands last.
    first = [setting for section, setting in ours.items() if not section]
    last = [line for section, setting in ours.items() if section for line in (f"[{section}]", setting)]
    for setting in rules["lab"].get(name, {}).values():
        sayings.say("added", f"{name}: {setting}", next(iter(overridden.values())))
    return "\n".join([*first, *lines, *last]) + "\n"


if __name__ == "__main__":
    main()
