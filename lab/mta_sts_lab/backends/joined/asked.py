"""What both ways to join a network ask of the mail server there, and of the runner."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mta_sts_lab.backends.joined import NAME_SERVER, WORLD_PREFIX
from mta_sts_lab.backends.registry import BackendError, Job
from mta_sts_lab.backends.served_plan import OwnAnswers, ServedPlan
from mta_sts_lab.backends.target_folder import Joined
from mta_sts_lab.model.world import Family
from mta_sts_lab.runner.plan import run_of_play
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.signing import trust_anchor


def joined_by(job: Job) -> Joined:
    """Return the table of the target."""
    assert job.target.file.joined is not None
    return job.target.file.joined


def authority_of(job: Job) -> Authority:
    """Return the CA of a run, which further plays of it share: the container was started with its certificate."""
    return _authority_of_run(run_of_play(job.plan.run))


@cache
def _authority_of_run(_run: str) -> Authority:
    return Authority.create()


def show_ca(job: Job, authority: Authority) -> None:
    """Write the CA into the folder of the run, and where else it is asked for. Raises `BackendError`."""
    job.outlet.target_file("ca.pem", authority.certificate_pem.decode())
    job.outlet.target_file("trust-anchor", trust_anchor(authority.certificate_pem))
    if ca_file := joined_by(job).ca_file:
        try:
            # In place: a file that is mounted into a container is that file, whatever has its name later.
            Path(ca_file).write_bytes(authority.certificate_pem)
        except OSError as error:
            raise BackendError(f"--ca {ca_file}: cannot be written: {error.strerror}") from error


def needs(job: Job, network: str, route: str) -> list[str]:
    """Return what the container must be set up for, in words. `route` says who sets the route."""
    ca_file = Path(joined_by(job).ca_file or job.directory / "ca.pem").resolve()
    return [
        f"the lab joins {network}; {joined_by(job).container} needs",
        f"  resolver   {NAME_SERVER}  (compose: `dns: {NAME_SERVER}`)",
        f"  CA file    {ca_file}  (the only one it trusts for mail and policy hosts)",
        f"  mail       on port {job.target.file.inject.port}; mail from the network to anybody must be relayed",
        f"  route      to {WORLD_PREFIX}: {route}",
    ]


def served_plan(job: Job, target_address: str) -> ServedPlan:
    """Return what the runner is given to play."""
    file, joined = job.target.file, joined_by(job)
    return ServedPlan(
        plan=job.plan,
        prefixes={Family.IPV4: WORLD_PREFIX},
        target_address=target_address,
        inject=file.inject,
        contract_port=file.contract.port,
        ready_seconds=file.ready_seconds,
        own_answers=OwnAnswers(job.target.name, joined.capabilities, joined.retry_seconds),
    )
