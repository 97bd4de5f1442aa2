"""Plays one run in Docker: an internal network with the lab's container and the target's."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import docker.errors
import docker.types
import msgspec
import requests

import docker
from mta_sts_lab.backends.docker.engine import (
    EngineError,
    connect,
    engine_errors,
)
from mta_sts_lab.backends.docker.files import (
    KEPT_AND_OVERRIDDEN,
    LARGEST_FILE,
    fetch_captures,
    text_file,
)
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.docker.life import start_with_input, swept
from mta_sts_lab.backends.docker.output import Output
from mta_sts_lab.backends.docker.site import (
    LAB_MEMORY_MIB,
    Site,
    give_route,
    lab_container,
    make_site,
    target_container,
)
from mta_sts_lab.backends.overlay import left_out
from mta_sts_lab.backends.registry import Job, TargetRefused
from mta_sts_lab.backends.served_plan import PROCESSOR_TIME, TARGET_LOG, pass_on
from mta_sts_lab.backends.staying import Doors, staying
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.events import Event, TargetDiagnosed
from mta_sts_lab.record import Header
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.targets.contract import TargetError

#: The exit status of the program in the lab's container when the target never came up, or broke its contract.
TARGET_FAILED = 4

#: The exit status of a target's entry point for a configuration that the mail server refuses (EX_CONFIG).
REFUSED = 78


@dataclass(frozen=True, slots=True)
class ContainerRun:
    """How a run in Docker ended. `problem` is what the lab's container said when it could not play to the end."""

    status: int
    problem: str
    target_log: str
    target_configuration: str
    #: Seconds of processor time that the lab's container and the target's took.
    lab_seconds: float
    target_seconds: float
    #: How the target's container ended by itself, and its last output; empty if it stayed up to the end.
    target_ended: str = ""
    target_status: int = 0
    #: What became of the files that were laid over the image, line by line.
    laid_over: str = ""


def play(job: Job) -> str | None:
    """Play a job in containers; see `Backend.play`."""
    job = replace(job, outlet=_tell_diagnosis(introduced(job.outlet, job.target), job.say))
    done = run_in_containers(job)
    job.outlet.target_file("log.txt", done.target_log)
    job.outlet.target_file("configuration.txt", done.target_configuration)
    if done.laid_over:
        job.outlet.target_file("kept-and-overridden.txt", done.laid_over)
    spent = f"{done.lab_seconds:.2f} {done.target_seconds:.2f} seconds of processor time: the lab, the target\n"
    job.outlet.target_file("processor-time.txt", spent)
    target_failed = done.status == TARGET_FAILED
    if done.target_status == REFUSED:
        raise TargetRefused(done.target_ended.rpartition("entrypoint: ")[2] or done.target_ended)
    if done.status and not (job.plan.checks_adapter and target_failed and done.target_ended):
        said = done.problem.removeprefix("sts-lab: ") or ended_without_a_word(done.status)
        # An adapter is checked whatever its target does, so there the lab is at fault.
        raise (TargetError if target_failed and not job.plan.checks_adapter else EngineError)(said)
    return done.target_ended


def ended_without_a_word(status: int) -> str:
    """Return what to say of the lab's container when it ended with a status, and said nothing itself."""
    if status == 128 + signal.SIGKILL:
        return (
            "the lab's container was killed: the engine, or somebody who used it meanwhile, ended the run, or it took "
            f"more than its {LAB_MEMORY_MIB} MiB of memory"
        )
    return f"the lab's container ended with status {status}"


def run_in_containers(job: Job) -> ContainerRun:
    """Play a plan against a target in Docker and hand the record to the outlet, line by line, as it is made.

    Whatever happens, no container and no network stays behind. Raises `EngineError`.
    """
    client = connect()
    images = images_of(job.target, job.say)
    with swept(client, job.plan.run), engine_errors("the engine, or somebody who used it meanwhile, ended the run"):
        site = make_site(client, job.plan, job.target)
        lab, target = lab_container(site, images[0]), target_container(site, images[1], job.flaws)
        return _play(site, lab, target, images[0], job)


def images_of(target: TargetFolder, say: Callable[[str], None]) -> tuple[str, str]:
    """Return the images of the lab and of a target; build those that are not there. Raises `EngineError`."""
    client = connect()
    with engine_errors("looking for images"):
        return lab_image(client, say), target_image(client, target, say)


def _play(site: Site, lab: Any, target: Any, image: str, job: Job) -> ContainerRun:
    """Start both containers and follow the record to its end."""
    begun = threading.Event()
    output = Output(lab)
    start_with_input(lab, site.authority.private_key_pem)
    target.start()
    _end_with_the_target(lab, target, begun)
    give_route(site, image, target)
    job.say(f"{site.folder.file.title} and the lab are up in {site.subnet}")
    if job.plan.stays:
        job.outlet.target_file("ca.pem", site.authority.certificate_pem.decode())
    with staying(job, lambda: _doors(site, lab, target, job), lambda: lab.kill("SIGTERM")) as shown:
        follow_record(output, shown.outlet, begun, lambda: _tell_laid_over(site, target, job))
    status = int(lab.wait()["StatusCode"])
    if job.plan.stays and status == 128 + signal.SIGTERM:
        status = 0
    problem = output.said()
    if not status:
        fetch_captures(lab, job)
    target.reload()
    ended = ("", "") if target.status == "running" else _how_it_ended(site, target)
    if ended[0] and not begun.is_set():
        status, problem = TARGET_FAILED, f"{ended[0]} before it took mail\n{ended[1]}".strip()
    return ContainerRun(
        status=status,
        problem=problem,
        target_log=text_file(lab, str(TARGET_LOG)) or f"{_logs(target)}{_own_log(target)}",
        target_configuration=text_file(target, "/lab/configuration.txt"),
        lab_seconds=float(text_file(lab, str(PROCESSOR_TIME)) or 0),
        target_seconds=_processor_seconds(target),
        target_ended="\n".join(ended).strip(),
        target_status=int(target.attrs.get("State", {}).get("ExitCode") or 0),
        laid_over=_laid_over(site, target),
    )


def _doors(site: Site, lab: Any, target: Any, job: Job) -> Doors:
    port = site.folder.file.inject.port
    return Doors(
        target=f"docker exec -it {target.name} sh",
        lab=f"docker exec -it {lab.name} sh",
        ca_file=f"/lab/ca.pem on the mail server's side; {(job.directory / 'ca.pem').resolve()} here",
        takes_mail=f"127.0.0.1:{port} on its side, {site.target_address}:{port} on the lab's",
    )


def introduced(outlet: Outlet, folder: TargetFolder) -> Outlet:
    """Return an outlet whose record says of the target, beside its own words, what its folder says of it."""

    def header(said: Header) -> None:
        better = folder.file.better_than_packaged
        about = replace(said.about, name=folder.called or said.about.name, better_than_packaged=better)
        outlet.header(msgspec.structs.replace(said, about=about))

    return replace(outlet, header=header)


def _tell_diagnosis(outlet: Outlet, say: Callable[[str], None]) -> Outlet:
    """Return an outlet that also prints what is wrong with the configuration, as soon as that is known."""

    def event(one: Event) -> None:
        if isinstance(one.fact, TargetDiagnosed):
            say(
                f"diagnosis: {one.fact.means.rstrip('.')} ({one.fact.code})"
                + (f': "{one.fact.quoted}"' if one.fact.quoted else "")
            )
        outlet.event(one)

    return replace(outlet, event=event)


def _tell_laid_over(site: Site, target: Any, job: Job) -> None:
    """Print what was kept and overridden of the files laid over the image. Of several parts the first prints it."""
    if job.plan.at_once > 1 and job.plan.run.rpartition("-")[2] != "1":
        return
    for line in _laid_over(site, target).splitlines():
        job.say(line)


def _laid_over(site: Site, target: Any) -> str:
    """Return what became of the files laid over the image, line by line; empty if there are none."""
    if not site.folder.laid:
        return ""
    return "".join(f"{line}\n" for line in left_out(site.folder.laid)) + text_file(target, KEPT_AND_OVERRIDDEN)


def _end_with_the_target(lab: Any, target: Any, begun: threading.Event) -> None:
    """End the lab's container, too, when the target's ends before the run has begun: nobody will answer any more.

    Afterwards the lab finds out by itself, and what was played until then stays on record.
    """

    def wait() -> None:
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
            target.wait()
            if not begun.is_set():
                lab.kill()

    threading.Thread(target=wait, name="target ends", daemon=True).start()


def _how_it_ended(site: Site, target: Any) -> tuple[str, str]:
    """Return how a container ended by itself, and its last output."""
    status = target.attrs.get("State", {}).get("ExitCode")
    said = "\n".join(_logs(target).strip().splitlines()[-10:])
    return f"{site.folder.file.title}: its container ended with status {status}", said


def follow_record(output: Output, outlet: Outlet, begun: threading.Event, at_its_beginning: Callable[[], None]) -> None:
    """Read the record from the lab container's standard output until it ends. Raises `BackendError`."""
    for line in output.lines():
        if not begun.is_set():
            begun.set()
            at_its_beginning()
        pass_on(line, outlet)


def _own_log(target: Any) -> str:
    """Return what the hook `logs` prints, for a target whose contract never answered; empty if it has none."""
    if target.status != "running":
        return ""
    try:
        done = target.exec_run(["/hooks/logs"])
    except docker.errors.DockerException:
        return ""
    return str(done.output.decode(errors="replace")) if done.exit_code == 0 else ""


def _logs(container: Any) -> str:
    """Return what a container printed, whole but for what is beyond `LARGEST_FILE`."""
    kept = bytearray()
    for chunk in container.logs(stdout=True, stderr=True, stream=True, follow=False):
        kept += chunk
        if len(kept) > LARGEST_FILE:
            kept[LARGEST_FILE:] = f"\n--- the rest is left out: it is longer than {LARGEST_FILE} octets\n".encode()
            break
    return kept.decode(errors="replace")


def _processor_seconds(container: Any) -> float:
    """Return the processor time of a running container; 0 when it has ended."""
    used = container.stats(stream=False, one_shot=True).get("cpu_stats", {}).get("cpu_usage", {})
    return float(used.get("total_usage", 0)) / 1e9
