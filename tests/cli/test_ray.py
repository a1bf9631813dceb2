"""`fnet encode --executor ray`: on a cluster that stands, with actors and drivers that die."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from builders import add_vocabulary, vocabulary, write_preset
from jobs import CONFIG
from running import FNET, clean_env, run_fnet
from slow_jobs import slow_job, started, write_source

ROWS = 400
CLUSTER = """
import ray
context = ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20,
                   log_to_driver=False)
print(context.address_info["gcs_address"], flush=True)
input()
"""
pytest.importorskip("ray", reason="Ray has no wheel for this Python")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Start a cluster of two cores, and return its address."""
    with pytest.MonkeyPatch.context() as patch:
        # Ray lets nobody in who does not know what the cluster's owner does.
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
        yield from _cluster()


def _cluster() -> Iterator[str]:
    process = run_cluster(CLUSTER)
    yield process.stdout.readline().strip()
    process.communicate("\n", timeout=60)


def run_cluster(script: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture
def job(address, tmp_path) -> list[str]:
    write_source(tmp_path / "tokens.parquet", ROWS)
    on_ray = ["--executor", "ray", "--address", address, "--workers", "2"]
    return [*slow_job("tokens.parquet", "out/", "--part-rows", "100"), *on_ray]


def check(directory: Path) -> None:
    """Hold the output against that of a job that ran here, undisturbed."""
    whole = slow_job("tokens.parquet", "whole/", "--part-rows", "100", "--quiet")
    assert run_fnet(*whole, cwd=directory).returncode == 0
    assert pq.read_table(directory / "out").equals(pq.read_table(directory / "whole"))
    assert (directory / "out/_SUCCESS").exists()


def actors() -> list[psutil.Process]:
    """Return the processes of Ray's that encode."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(part.startswith("ray::RayWorker.encode") for part in process.info["cmdline"] or ())
    ]


def wait_for_part(process: subprocess.Popen, directory: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if list(directory.glob("out/part-*")):
            return
        time.sleep(0.05)
    pytest.fail(f"no part; the job's exit code is {process.returncode}")


def test_an_actor_that_is_killed_costs_time_only(job, tmp_path):
    with started(FNET, [*job, "--json"], tmp_path) as process:
        wait_for_part(process, tmp_path)
        for actor in actors()[:1]:
            actor.kill()
        out, shown = process.communicate(timeout=200)
    assert process.returncode == 0, shown
    record = json.loads(out)
    assert (record["rows_in"], record["rows_out"], record["rows_resumed"]) == (ROWS, ROWS, 0)
    assert shown.splitlines()[-1] == "fnet: wrote out/"
    check(tmp_path)


NODES = """
from ray.cluster_utils import Cluster
store = {"object_store_memory": 100 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args={
    "num_cpus": 0, "include_dashboard": False, **store})
nodes = [cluster.add_node(num_cpus=1, **store) for _ in range(2)]
print(cluster.address, flush=True)
input()
cluster.remove_node(nodes[0], allow_graceful=False)
print("removed", flush=True)
input()
cluster.shutdown()
"""


def test_a_node_that_is_lost_costs_time_only_though_none_has_room_for_its_actor(tmp_path):
    write_source(tmp_path / "tokens.parquet", ROWS)
    nodes = run_cluster(NODES)
    where = ["--executor", "ray", "--address", nodes.stdout.readline().strip(), "--workers", "2"]
    job = [*slow_job("tokens.parquet", "out/", "--part-rows", "100", "--json"), *where]
    with started(FNET, job, tmp_path) as process:
        wait_for_part(process, tmp_path)
        nodes.stdin.write("\n")
        nodes.stdin.flush()
        assert nodes.stdout.readline() == "removed\n"
        out, shown = process.communicate(timeout=200)
    nodes.communicate("\n", timeout=60)
    assert process.returncode == 0, shown
    assert json.loads(out)["rows_out"] == ROWS
    check(tmp_path)


def test_a_job_begun_on_ray_is_ended_here_after_its_driver_was_killed(job, tmp_path):
    with started(FNET, job, tmp_path) as process:
        wait_for_part(process, tmp_path)
        process.kill()
    deadline = time.monotonic() + 60
    while actors() and time.monotonic() < deadline:  # they end with their driver
        time.sleep(0.1)
    here = [*job[: job.index("--executor")], "--resume", "--json", "--quiet"]
    ran = run_fnet(*here, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["rows_resumed"] >= 100
    check(tmp_path)


def test_a_job_begun_here_is_ended_on_ray(job, tmp_path):
    with started(FNET, job[: job.index("--executor")], tmp_path) as process:
        wait_for_part(process, tmp_path)
        process.kill()
    ran = run_fnet(*job, "--resume", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["rows_resumed"] >= 100
    check(tmp_path)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--cpus-per-worker", "64"], 2, "no node of the Ray cluster has 64 CPUs"),
        (["--address", "127.0.0.1:9"], 5, "no Ray cluster answers at 127.0.0.1:9"),
        (["--executor", "local"], 2, "a cluster was described, and not asked for"),
    ],
)
def test_what_a_cluster_cannot_do_is_said(job, tmp_path, options, code, message):
    ran = run_fnet(*job, *options, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr
    assert not (tmp_path / "out").exists()


def test_without_ray_what_to_install_is_said(tmp_path):
    write_source(tmp_path / "tokens.parquet", 5)
    (tmp_path / "ray.py").write_text("raise ImportError('hidden')")
    hidden = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    ran = subprocess.run(
        [*FNET, "encode", "tokens.parquet", "-o", "out/", "--executor", "ray"],
        cwd=tmp_path,
        env=hidden,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "pip install 'fnet-cli[ray]'" in ran.stderr


WITHOUT_PRESET = """
import sys
from pathlib import Path

import ray

from fnet_cli.encoding import ray_crew
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.options import EncodeOptions
from fnet_cli.encoding.parts_job import PartsJob
from fnet_cli.encoding.plan import make_plan
from fnet_cli.encoding.tally import JobTally

options = EncodeOptions(("rows.jsonl",), "out/", preset="preset")
context = JobContext()
plan = make_plan(options, context.settings, None)
job = PartsJob(plan, plan.target.place, context, JobTally(context, 1)).job
ray.init(sys.argv[1], log_to_driver=False)
sent = ray.put(job), ray.put(ray_crew._preset_files(job))
assert ray_crew._with_preset_here(*sent).plan.preset.directory == plan.preset.directory
Path("preset").rename("elsewhere")
preset = ray_crew._with_preset_here(*sent).plan.preset
print(preset.directory)
assert preset.special_ids().pad == preset.tokenizer().pad_token_id
ray.shutdown()
"""


def test_a_node_without_the_preset_is_sent_it(address, tmp_path):
    write_preset(tmp_path / "preset", CONFIG)
    add_vocabulary(tmp_path / "preset", vocabulary())
    (tmp_path / "rows.jsonl").write_text('{"token_ids": [5]}\n')
    (tmp_path / "tmp").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_PRESET, address],
        cwd=tmp_path,
        env={**clean_env(), "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    sent = Path(ran.stdout.splitlines()[-1])
    assert sent.parent == tmp_path / "tmp"
    names = {path.name for path in sent.rglob("*") if path.is_file()}
    assert {"config.json", "model.weights.h5", "vocabulary.spm"} <= names
