"""The world of a bench: a folder, certificates, ports, processes on their cores, and its end.

Whatever is started here is stopped here, by process id, also after Ctrl-C or SIGTERM. It must not
know what the processes are.
"""
import contextlib
import ctypes
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import tools

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
# Below the range that outgoing connections take theirs from.
PORTS = range(20000, 29999)


class World:
    """A temporary folder with certificates, and the processes that run in it."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="corgate-rivals-"))
        self.certs = self.folder / "certs"
        self.children = {}
        self.taken = set()
        cores = sorted(os.sched_getaffinity(0))
        self.proxy_cores = set(cores[:1])
        self.load_cores = set(cores[1:] or cores)

    def prepare(self):
        """Makes the certificates and the library that speaks TLS for the load generators."""
        subprocess.run(["sh", tools.TOP / "certs" / "make.sh", self.certs], check=True,
                       stdout=subprocess.DEVNULL)
        for name in ("edge", "alpine", "hub"):
            both = [(self.certs / f"{name}.{kind}").read_text() for kind in ("pem", "key")]
            (self.certs / f"{name}.both").write_text("".join(both))
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", self.folder / "client_tls.so",
                        pathlib.Path(__file__).with_name("client_tls.c"), "-ldl"], check=True)

    def port(self):
        """A port that nobody listens on."""
        while True:
            number = random.choice(PORTS)
            with contextlib.suppress(OSError), socket.socket() as probe:
                if number in self.taken:
                    continue
                probe.bind(("127.0.0.1", number))
                self.taken.add(number)
                return number

    def start(self, name, command, cores, stdout=None):
        """Starts a process on these cores; what it says goes to files in the folder."""
        with open(stdout or self.folder / f"{name}.out", "wb") as out, \
                open(self.folder / f"{name}.err", "wb") as err:
            self.children[name] = subprocess.Popen([str(word) for word in command], stdout=out,
                                                   stderr=err,
                                                   preexec_fn=lambda: self.settle(cores))
        return self.children[name]

    def settle(self, cores):
        """In a child before it becomes what it is: its cores, its files, and that it goes with
        this script even if that is killed outright."""
        os.sched_setaffinity(0, cores)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def wait_for(self, name, port, seconds=30):
        """Until a child listens. Says what it said if it does not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.children[name].poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                return
            time.sleep(0.05)
        said = (self.folder / f"{name}.err").read_text(errors="replace")[-1500:]
        raise RuntimeError(f"{name} does not listen on port {port}:\n{said}")

    def stop(self, name):
        """Asks a child to end, and ends it if it does not."""
        child = self.children.pop(name, None)
        if child is None:
            return
        family = processes(child.pid) if child.poll() is None else []
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pid in family[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self):
        """Stops everything and takes the folder away."""
        for name in list(self.children):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def world():
    """A world that ends, however its bench ends."""
    def leave(_signal, _frame):
        sys.exit("stopped")
    signal.signal(signal.SIGTERM, leave)
    # A shell may have started this with SIGINT ignored.
    signal.signal(signal.SIGINT, leave)
    made = World()
    try:
        made.prepare()
        yield made
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        made.end()


def processes(pid):
    """A process and its children; nginx has one of each."""
    try:
        below = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid] + [found for child in below for found in processes(int(child))]


def cpu_seconds(pid):
    """User and system time of a process and its children, all their threads together."""
    user = system = 0
    for each in processes(pid):
        with contextlib.suppress(OSError):
            stat = pathlib.Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            user, system = user + int(stat[11]), system + int(stat[12])
    return user / TICKS, system / TICKS


def core_seconds(cores):
    """How long these cores worked so far, for whomever."""
    total = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *times = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            # user, nice, system, then idle and iowait, then irq, softirq, steal.
            total += sum(map(int, times[:3] + times[5:8]))
    return total / TICKS


def resident_bytes(pid):
    """Resident memory of a process and its children: all of the largest, and of the others what is
    theirs alone, because a worker shares with its master what it was born with."""
    found = []
    for each in processes(pid):
        with contextlib.suppress(OSError):
            lines = pathlib.Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()[1:]
            sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
            found.append((sizes["Rss"], sizes["Private_Clean"] + sizes["Private_Dirty"]))
    found.sort(reverse=True)
    return sum(size[0] for size in found[:1]) + sum(size[1] for size in found[1:])
