"""A training run shared by several processes: who they are, what they exchange, and what happens when one is lost."""

import importlib.util
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
    pytest.skip("this build of torch comes without gloo", allow_module_level=True)

from acutance.cli.exit_codes import exit_code  # noqa: E402
from acutance.cli.main import main  # noqa: E402
from acutance.errors import ConfigError, PeerError, UsageError  # noqa: E402
from acutance.training.distill.checkpoint import load_checkpoint  # noqa: E402
from acutance.training.distill.log import read_log  # noqa: E402
from acutance.training.distill.losses import LOSSES, Prediction  # noqa: E402
from acutance.training.distill.options import load_config  # noqa: E402
from acutance.training.distill.place import Place, find_place  # noqa: E402
from acutance.training.distill.processes import Processes, _name_network, join  # noqa: E402
from acutance.training.models.teachers import SRResNet  # noqa: E402
from miniature import CONFIG, make_root  # noqa: E402

# Three epochs of eight steps, four crops each.
SETTINGS = ["epochs=3", "steps_per_epoch=8", "crop=24", "data.batch=4"]
PEER_TIMEOUT = 60  # of runs in which nobody is to be given up: a busy machine may keep a process waiting
PATIENCE = 240

# By how much weights may differ from those of one process. Rounding leaves 6e-7 in these 24 steps (with two processes
# and with three); gradients weighted by processes instead of by crops leave 1e-2.
ROUNDING = 5e-5

# The command line, with something happening at a step: MOMENT is what, in Python, with n the number of steps begun.
ACTOR = """
import os, signal, sys, time
from acutance.training.distill.task import DistillationTask
forward, n = DistillationTask.forward, 0
def acting(self, batch):
    global n
    n += 1
    MOMENT
    return forward(self, batch)
DistillationTask.forward = acting
from acutance.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _environment(root, **more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MASTER_", "TORCHELASTIC_"))}
    return {
        **kept,
        "OMP_NUM_THREADS": "1",
        "ACUTANCE_TRAIN_KERNEL": "torch",
        "ACUTANCE_DATA": str(root),
        **{name: str(value) for name, value in more.items()},
    }


def _command(root, out, *, settings=(), timeout=PEER_TIMEOUT):
    changes = itertools.chain.from_iterable(("--set", setting) for setting in (*SETTINGS, *settings))
    return [
        "distill", "--config", str(CONFIG), "--cache", str(root / "cache"), "--out", str(out), *changes,
        "--peer-timeout", str(timeout), "--progress", "plain",
    ]  # fmt: skip


def _start(rank, command, root, port, *, moment="", size=2, **more):
    """One process of a run, started by hand, as if it were alone on its machine."""
    place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    program = ["-c", ACTOR.replace("MOMENT", moment)] if moment else ["-m", "acutance"]
    return subprocess.Popen(
        [sys.executable, *program, *command],
        env=_environment(root, **place, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _two(tmp_path, root, *, moment="", other_root=None, **more):
    """Run two processes on two "machines" that share no folder; returns (exit code, output) of each.

    moment: what happens in rank 1.
    """
    port = _free_port()
    processes = [
        _start(0, _command(root, tmp_path / "run", **more), root, port),
        _start(1, _command(other_root or root, tmp_path / "nothing", **more), other_root or root, port, moment=moment),
    ]
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda process: process.communicate(timeout=PATIENCE)[0], processes))
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)], port


def _launch(launcher, command, root, *, moment="", size=2, check=True):
    program = ["-m", "acutance"]
    if moment:
        script = Path(command[command.index("--out") + 1]).parent / "actor.py"
        script.write_text(ACTOR.replace("MOMENT", moment))
        program = [str(script)]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, *program, *command],
        env=_environment(root),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stderr


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def _last(out, settings=()):
    return load_checkpoint(out / "last.pt", load_config(CONFIG, [*SETTINGS, *settings]))


def _assert_the_same_run(a, b):
    """To the bit, all that a run leaves but the time it took."""
    assert _last(a).sha256 == _last(b).sha256
    logs = [
        [{k: v for k, v in event.items() if k != "seconds"} for event in read_log(out / "log.jsonl")] for out in (a, b)
    ]
    assert logs[0] == logs[1]
    assert (a / "student.safetensors").read_bytes() == (b / "student.safetensors").read_bytes()


def _assert_the_same_but_for_rounding(a, b, settings=()):
    one, two = _last(a, settings), _last(b, settings)
    assert one.step == two.step == 24
    for name in ("student", "average"):
        for key, weight in getattr(one, name).items():
            torch.testing.assert_close(getattr(two, name)[key], weight, atol=ROUNDING, rtol=0)
    for mine, theirs in zip(read_log(a / "log.jsonl"), read_log(b / "log.jsonl"), strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine.keys() - {"event", "seconds"}:
            assert mine[key] == pytest.approx(theirs[key], rel=1e-4), key


@pytest.fixture(scope="module")
def root(miniature_root):
    return miniature_root


def _run_alone(root, out, settings=()):
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACUTANCE_TRAIN_KERNEL", "torch")
        patch.setenv("ACUTANCE_DATA", str(root))
        assert main(_command(root, out, settings=settings)) == 0
    torch.set_num_threads(threads)
    return out


@pytest.fixture(scope="module")
def alone(root, tmp_path_factory):
    """The run of one process."""
    return _run_alone(root, tmp_path_factory.mktemp("alone") / "run")


@pytest.fixture(scope="module")
def together(root, tmp_path_factory):
    """The same run of two processes, by torchrun: (its folder, what was said)."""
    out = tmp_path_factory.mktemp("together") / "run"
    return out, _launch(TORCHRUN, _command(root, out), root)


# Whole runs

several_programs = pytest.mark.long  # each starts two programs that load torch, or four


@several_programs
def test_two_processes_end_as_one_does_but_for_rounding(alone, together):
    _assert_the_same_but_for_rounding(alone, together[0])


@several_programs
def test_only_one_process_tells_and_writes(together):
    out, said = together
    for line in (
        "miniature-clean-x2: 24 steps",
        "10 training and 2 validation tiles",
        "training: 24/24 steps  epoch 3",
        "report: ",
    ):
        assert said.count(line) == 1, line
    assert (out / "report.html").exists()
    assert re.search(r"rank 0 of 2 at localhost:\d+: all are there", said)


@several_programs
@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="needs accelerate")
def test_accelerate_launch_shares_a_step_that_cannot_be_halved(root, tmp_path):
    """Five crops: two and three. Without a GPU too, --multi_gpu is what makes accelerate start several processes."""
    uneven = ["data.batch=5"]
    launcher = [
        "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision",
        "no", "--dynamo_backend", "no", "--main_process_port", str(_free_port()), "-m",
    ]  # fmt: skip
    command = _command(root, tmp_path / "two", settings=uneven)
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "acutance", *command],
        env=_environment(root), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rank 0 of 2" in done.stderr
    _assert_the_same_but_for_rounding(_run_alone(root, tmp_path / "one", uneven), tmp_path / "two", uneven)


@pytest.fixture(scope="module")
def killed(root, tmp_path_factory):
    """Two machines that share no folder but the prepared pictures; rank 1 is killed in the middle of the second epoch:
    (folder, port, exit code and output of each)."""
    folder = tmp_path_factory.mktemp("killed")
    ends, port = _two(folder, root, moment="if n == 13: os.kill(os.getpid(), signal.SIGKILL)")
    return folder, port, ends


@several_programs
def test_a_killed_process_ends_the_other_with_the_address_and_a_good_checkpoint(killed):
    folder, port, (first, second) = killed
    assert second[0] == -signal.SIGKILL
    assert first[0] == exit_code(PeerError)
    (told,) = [line for line in first[1].splitlines() if line.startswith("acutance: ")]
    assert f"rank 0 of 2 at 127.0.0.1:{port}: the connection to another process is lost" in told
    assert "the same command everywhere goes on from there" in told
    assert _last(folder / "run").step == 8


@several_programs
def test_a_killed_run_goes_on_to_the_same_bits(root, tmp_path, killed, together):
    shutil.copytree(killed[0] / "run", tmp_path / "run")
    ends, _ = _two(tmp_path, root)
    assert [code for code, _ in ends] == [0, 0]
    _assert_the_same_run(tmp_path / "run", together[0])
    assert not (tmp_path / "nothing").exists()  # rank 1's folder: it keeps nothing


@several_programs
def test_one_process_goes_on_with_what_two_have_begun(root, tmp_path, killed, alone):
    shutil.copytree(killed[0] / "run", tmp_path / "run")
    _assert_the_same_but_for_rounding(alone, _run_alone(root, tmp_path / "run"))


@several_programs
def test_torchrun_starts_them_again_and_they_go_on(root, tmp_path, together):
    dies_once = (
        'if n == 13 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and os.environ["RANK"] == "1": '
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    said = _launch([*TORCHRUN, "--max-restarts", "1"], _command(root, tmp_path / "run"), root, moment=dies_once)
    assert said.count("all are there") == 2
    assert "acutance: rank 0 of 2 at localhost:" in said
    _assert_the_same_run(tmp_path / "run", together[0])


@several_programs
def test_a_process_that_hangs_is_given_up_within_the_time_out(root, tmp_path):
    """In the exchange of gradients."""
    port = _free_port()
    hanging = _start(1, _command(root, tmp_path / "none", timeout=10), root, port, moment="if n == 3: time.sleep(600)")
    waiting = _start(0, _command(root, tmp_path / "run", timeout=10), root, port)
    try:
        said, _ = waiting.communicate(timeout=PATIENCE)
    finally:
        hanging.kill()
        hanging.communicate()
    assert waiting.returncode == exit_code(PeerError)
    assert f"rank 0 of 2 at 127.0.0.1:{port}" in said
    assert "10000ms" in said


@several_programs
def test_other_pictures_on_one_machine_are_refused_and_named(root, tmp_path):
    other = make_root(tmp_path / "other")
    (other / "pictures" / "00.png").write_bytes((other / "pictures" / "01.png").read_bytes())
    for code, said in _two(tmp_path, root, other_root=other)[0]:
        assert code == exit_code(PeerError)
        assert re.search(
            r"rank 1 \(on .*\) does not agree with rank 0 \(on .*\) on the (training|validation) pict", said
        )
    assert not (tmp_path / "run" / "last.pt").exists()


@several_programs
def test_weights_that_have_drifted_apart_are_not_written(root, tmp_path):
    moment = "if n == 9: next(self.student.parameters()).data[0, 0, 0, 0] += 1e-6"
    for code, said in _two(tmp_path, root, moment=moment)[0]:
        assert code == exit_code(PeerError)
        assert "on the weights after step 16" in said
    assert _last(tmp_path / "run").step == 8


@several_programs
def test_an_error_of_one_process_is_told_by_the_other(root, tmp_path):
    shutil.copytree(root, tmp_path / "other", ignore=shutil.ignore_patterns("cache"))
    (tmp_path / "other" / "pictures" / "03.png").write_bytes(b"not a picture")
    (first, second), _ = _two(tmp_path, root, other_root=tmp_path / "other")
    assert "03.png" in second[1]
    assert first[0] == exit_code(PeerError)
    (told,) = [line for line in first[1].splitlines() if line.startswith("acutance: ")]
    assert "rank 1 has ended: " in told
    assert "03.png" in told


@several_programs
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_on_the_launcher_leaves_a_good_checkpoint(root, tmp_path):
    endless = ["epochs=5000"]
    process = subprocess.Popen(
        [sys.executable, "-m", *TORCHRUN, "-m", "acutance", *_command(root, tmp_path / "run", settings=endless)],
        env=_environment(root), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "run" / "last.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "the same command everywhere goes on from there" in said
    state = _last(tmp_path / "run", endless)
    assert state.step % 8 == 0
    assert all(bool(torch.isfinite(weight).all()) for weight in state.student.values())


# Who is who


def test_a_process_that_nobody_launched_is_alone():
    assert find_place({}) == Place()
    assert find_place({"WORLD_SIZE": "1", "RANK": "0"}).size == 1
    assert str(find_place({"MASTER_ADDR": "a", "MASTER_PORT": "7"})) == str(Place())


TORCH = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "7",
}  # fmt: skip


def test_a_process_of_torchrun_knows_its_place():
    agent = {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_MAX_RESTARTS": "3"}
    assert find_place(TORCH) == Place(3, 4, 1, 2, "a", 7)
    assert find_place({**TORCH, **agent}) == Place(3, 4, 1, 2, "a", 7, launcher_listens=True, restarts=True)


def test_a_process_of_mpi_knows_its_place():
    mpi = {
        "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "7",
    }  # fmt: skip
    assert find_place(mpi) == Place(3, 4, 1, 2, "a", 7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE='two'"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE='0'.*1 or more"),
        ({"WORLD_SIZE": None}, "RANK but not WORLD_SIZE"),
        ({"RANK": None}, "lacks RANK: a number, 0 to 3"),
        ({"RANK": "4"}, "RANK='4'.*0 to 3"),
        ({"RANK": "-1"}, "RANK='-1'"),
        ({"LOCAL_RANK": "x"}, "LOCAL_RANK='x'"),
        ({"MASTER_ADDR": None}, "not MASTER_ADDR"),
        ({"MASTER_ADDR": " "}, "not MASTER_ADDR"),
        ({"MASTER_PORT": None}, "lacks MASTER_PORT"),
        ({"MASTER_PORT": "70000"}, "MASTER_PORT='70000'.*1 to 65535"),
    ],
)
def test_what_a_launcher_left_out_or_got_wrong_is_named(change, said):
    with pytest.raises(UsageError, match=said):
        find_place({name: value for name, value in {**TORCH, **change}.items() if value is not None})


@pytest.fixture
def launched(root, tmp_path, monkeypatch):
    """The command line of rank 1 of 2, whose rank 0 never comes: (arguments, port)."""
    port = _free_port()
    for name, value in {"RANK": 1, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "FATAL")
    before = signal.getsignal(signal.SIGTERM)
    yield _command(root, tmp_path / "run", timeout=2), port
    signal.signal(signal.SIGTERM, before)


def test_a_master_that_does_not_answer_is_named_within_the_time_out(launched, capsys):
    command, port = launched
    started = time.monotonic()
    assert main(command) == exit_code(PeerError)
    assert time.monotonic() - started < 20
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"rank 1 of 2 at 127.0.0.1:{port}: nobody answers there, tried for 2 s" in said


def test_a_master_whose_peers_do_not_come_says_how_many_did(launched, capsys, monkeypatch):
    command, port = launched
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert main(command) == exit_code(PeerError)
    said = capsys.readouterr().err
    assert f"rank 0 of 3 at 127.0.0.1:{port}: not all are there after 2 s: only 1 of 3 processes came" in said
    assert sum(line.startswith("acutance: ") for line in said.splitlines()) == 1


def test_fresh_is_refused_where_it_would_be_so_again_and_again(launched, capsys, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    assert main([*launched[0], "--fresh"]) == exit_code(UsageError)
    assert "--max-restarts 0" in capsys.readouterr().err


@pytest.fixture
def network(monkeypatch):
    """Where gloo is told which network to use, not set yet."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "")
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    return monkeypatch


@pytest.mark.skipif(sys.platform != "linux", reason="names a network as Linux does")
@pytest.mark.usefixtures("network")
def test_gloo_is_told_the_network_that_leads_to_the_address():
    _name_network(Place(1, 2, address="127.0.0.1", port=29500))
    assert os.environ["GLOO_SOCKET_IFNAME"] == "lo"


def test_a_network_that_the_user_names_is_kept(network):
    network.setenv("GLOO_SOCKET_IFNAME", "eth7")
    _name_network(Place(1, 2, address="127.0.0.1", port=29500))
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7"


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_a_time_out_is_positive(timeout):
    with pytest.raises(UsageError, match="must be positive"):
        join(Place(), timeout=timeout)


# What is divided


@pytest.mark.parametrize(("count", "size"), [(4, 2), (5, 2), (7, 3), (16, 5), (3, 3)])
def test_shares_are_all_of_it_and_nearly_equal(count, size):
    shares = [Processes(Place(rank, size)).share(count) for rank in range(size)]
    assert [i for share in shares for i in range(count)[share]] == list(range(count))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 1


def test_a_step_of_fewer_crops_than_processes_is_refused():
    with pytest.raises(ConfigError, match=r"data\.batch: 2 crops cannot be shared by 3 processes"):
        Processes(Place(0, 3)).accept(torch.nn.Conv2d(1, 1, 3), batch=2)


def test_a_network_that_normalises_over_the_crops_is_trained_in_one_process():
    student = SRResNet(2, blocks=1, channels=8)
    Processes().accept(student, batch=4)
    with pytest.raises(ConfigError, match="SRResNet normalises over the crops"):
        Processes(Place(0, 2)).accept(student, batch=4)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_a_mean_over_crops(name):
    """Else the mean of what processes have, by the number of their crops, would not be the loss of the step."""
    generator = torch.Generator().manual_seed(1)

    def draw(channels, side):
        strength = torch.linspace(0.2, 1.0, 5, dtype=torch.float64)[:, None, None, None]
        return strength * torch.rand(5, channels, side, side, generator=generator, dtype=torch.float64)

    whole = {
        "output": draw(1, 24), "truth": draw(1, 24), "teacher": draw(1, 24), "degraded": draw(1, 24),
        "student_features": draw(6, 12), "teacher_features": draw(4, 12),
    }  # fmt: skip

    def loss(crops):
        return float(LOSSES[name](Prediction(**{key: value[crops] for key, value in whole.items()})))

    parts = 2 / 5 * loss(slice(2)) + 3 / 5 * loss(slice(2, 5))
    assert parts == pytest.approx(loss(slice(None)), rel=1e-12)
    assert loss(slice(2)) != pytest.approx(loss(slice(2, 5)), rel=1e-3)


def test_a_part_of_a_batch_is_that_part_of_the_whole(root):
    from acutance.training.distill.load_pairs import load_pairs

    pairs, _ = load_pairs(
        load_config(CONFIG).without_teacher(), data_root=root, cache=root / "cache", teacher=None,
        progress=lambda *_: None,
    )  # fmt: skip
    whole, part = (pairs.batch(7, seed=1, size=5, crop=24, part=crops) for crops in (slice(None), slice(2, 4)))
    for name in ("low", "degraded", "sharp"):
        assert np.array_equal(getattr(whole, name)[2:4], getattr(part, name))
