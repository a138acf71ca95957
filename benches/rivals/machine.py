"""What a bench ran on, in words for the table."""
import os
import pathlib
import platform
import re
import sys
import time

# Options that say nothing about what was measured.
SILENT = ("--install", "--readme", "--out")


def described():
    """The machine, its system, and when."""
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    release = pathlib.Path("/etc/os-release").read_text()
    system = re.search(r'PRETTY_NAME="?([^"\n]*)', release)
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {
        "cpu": cpu[1].strip() if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20),
        "system": system[1] if system else platform.system(),
        "kernel": platform.release(),
        "load_average_before": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def command(target):
    """The command that was given, as `make` has it."""
    words, skip = [], False
    for word in sys.argv[1:]:
        name = word.split("=")[0]
        if not skip and name not in SILENT:
            words.append(word)
        skip = not skip and word == "--out"
    return f"make {target}" + (f' ARGS="{" ".join(words)}"' if words else "")


def line(machine):
    """One line of it."""
    return (f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"{machine['system']}, Linux {machine['kernel']}, {machine['date']}")
