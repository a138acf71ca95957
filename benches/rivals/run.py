#!/usr/bin/env python3
"""corgate beside HAProxy, nginx and Envoy, all with the whole bLink token contract.

Every proxy first proves what it does of the contract. Then come interleaved rounds as fast as it
goes, and rounds at a fixed rate. Prints tables; writes JSON and an SVG. Everything is on loopback,
and nothing is left running. `make bench-rivals` runs it; see README.
"""
import argparse
import json
import pathlib
import shutil
import sys
import time

import call
import chart
import conformance
import load
import machine
import proxies
import report
import rounds
import scenes
import tools
import world as worlds

HERE = pathlib.Path(__file__).resolve().parent
README = tools.TOP / "README.md"


def options():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    known = ", ".join(scene.key for scene in scenes.scenes())
    parser.add_argument("--quick", action="store_true", help="one short round: about two minutes")
    parser.add_argument("--scenes", help=f"only these, with commas: {known}")
    parser.add_argument("--proxies", help="only these: " + ", ".join(proxies.ALL))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of a round as fast as it goes")
    parser.add_argument("--latency-rounds", type=int, default=3)
    parser.add_argument("--latency-seconds", type=int, default=4, help="of a round at a fixed rate")
    parser.add_argument("--minutes", type=float, default=19, help="ends after so long")
    parser.add_argument("--corgate", default=proxies.Corgate.binary, help="its release build")
    parser.add_argument("--install", action="store_true", help="install what is missing")
    parser.add_argument("--out", type=pathlib.Path, default=tools.KEEP, help="folder of the files")
    parser.add_argument("--readme", action="store_true", help="write README's table and the chart")
    parser.add_argument("--from", dest="source", help="measure nothing: take this JSON")
    return parser.parse_args()


def chosen(text, known):
    """The names of an option, checked."""
    names = text.split(",") if text else list(known)
    for name in names:
        if name not in known:
            sys.exit(f"`{name}` is none of {', '.join(known)}")
    return names


def equipped(args):
    """Sees to the tools; returns the proxies that can run and what is skipped."""
    if args.install:
        tools.install()
    missing = dict(tools.missing())
    for name, remedy in missing.items():
        print(f"missing: {name} ({remedy})")
    if set(tools.REQUIRED) & set(missing):
        sys.exit("without these there is no bench: " + ", ".join(tools.REQUIRED))
    if not pathlib.Path(args.corgate).exists():
        sys.exit(f"no {args.corgate}: cargo build --locked --release")
    proxies.Corgate.binary = pathlib.Path(args.corgate).resolve()
    kinds, skipped = [], []
    for name in chosen(args.proxies, proxies.ALL):
        lacks = [need for need in proxies.ALL[name].needs if need in missing]
        if lacks:
            skipped.append(f"{proxies.ALL[name].title}: {', '.join(lacks)} is not installed")
        else:
            kinds.append(proxies.ALL[name])
    skipped += [f"{what}: {name} is not installed" for name, what in
                (("h2load", "HTTP/2 in front"), ("oha", "latency at a fixed rate"))
                if name in missing]
    return kinds, skipped


def start(world, kinds, banks, suffix=""):
    """Starts one of each proxy with these banks."""
    running = []
    for kind in kinds:
        print(f"starting {kind.title}{' with ' + str(len(banks)) + ' routes' if suffix else ''}",
              flush=True)
        proxy = kind(world, banks, suffix)
        proxy.start()
        running.append(proxy)
    return running


def measure(args, kinds, asked, skipped):
    """The whole bench; returns its result."""
    began = time.monotonic()
    described = machine.described()
    with worlds.world() as world:
        shared = proxies.SharedBank(world)
        shared.start()
        recorder_port = world.port()
        recorder = conformance.Recorder(recorder_port)
        banks = [proxies.Bank(call.PLAIN, False, shared.port),
                 proxies.Bank(call.SECURED, True, shared.tls_port),
                 proxies.Bank(call.RECORDER, False, recorder_port),
                 proxies.Bank(call.DOWN, False, world.port()),
                 proxies.Bank(call.FORBIDDEN, False, shared.port, permitted=False)]
        running = {False: start(world, kinds, banks), True: []}
        told = [proven(proxy, recorder) for proxy in running[False]]
        recorder.stop()
        if any(scene.many for scene in asked):
            many = [proxies.Bank(target, False, shared.port) for target in scenes.routes()]
            running[True] = start(world, kinds, many, "-many")
        taken = rounds.Rounds(load.Loader(world), lambda line: print(line, flush=True),
                              began + 60 * args.minutes)
        taken.saturate(asked, running, args.rounds, args.seconds)
        if tools.find("oha"):
            taken.steady(asked, running, args.latency_rounds, args.latency_seconds)
        for entry, proxy in zip(told, running[False]):
            entry["resident"] = worlds.resident_bytes(proxy.pid)
        for entry, proxy in zip(told, running[True]):
            entry["resident_many"] = worlds.resident_bytes(proxy.pid)
    return result_of(args, described, told, asked, taken, skipped)


def proven(proxy, recorder):
    """What a proxy is and what it does of the contract."""
    cases, lacks = conformance.check(proxy, recorder)
    print(f"contract: {proxy.title}: {cases - len(lacks)} of {cases}", flush=True)
    for lack in lacks:
        print(f"  lacks {lack}", flush=True)
    return {"name": proxy.name, "title": proxy.title, "version": proxy.version(),
            "cases": cases, "lacks": lacks}


def result_of(args, described, told, asked, taken, skipped):
    """Everything as plain data, for JSON."""
    def by_scene(table):
        nested = {}
        for (scene, name), value in table.items():
            nested.setdefault(scene, {})[name] = value
        return nested
    names = [entry["name"] for entry in told]
    if taken.cut_short:
        skipped = skipped + [f"what did not fit into {args.minutes:g} minutes"]
    return {
        "machine": described, "command": machine.command("bench-rivals"),
        "proxies": told, "skipped": skipped,
        "settings": {"rounds": args.rounds, "seconds": args.seconds,
                     "latency_rounds": args.latency_rounds,
                     "latency_seconds": args.latency_seconds,
                     "connections": load.CONNECTIONS},
        "scenes": [{"key": scene.key, "title": scene.title, "open_loop": scene.open_loop}
                   for scene in asked],
        "figures": by_scene(taken.medians()), "rates": taken.rates, "void": by_scene(taken.void),
        "ratios": {scene.key: {name: taken.ratios("corgate", name, scene.key)
                               for name in names if name != "corgate"} for scene in asked},
        "rounds": by_scene({key: [vars(got) for got in all_of]
                            for key, all_of in taken.closed.items()}),
        "latency_rounds": by_scene(taken.open),
    }


def publish(args, result):
    """Prints the tables, writes JSON and SVG, and README's part where asked."""
    words = report.markdown(result)
    print("\n" + report.plain(words))
    args.out.mkdir(parents=True, exist_ok=True)
    files = {"rivals.json": json.dumps(result, indent=1), "rivals.svg": chart.bars(result)}
    for name, text in files.items():
        (args.out / name).write_text(text)
    print(f"\n{args.out}/rivals.json, {args.out}/rivals.svg")
    if args.readme:
        shutil.copy(args.out / "rivals.svg", HERE / "rivals.svg")
        picture = "![CPU time for a call, by scene and proxy](benches/rivals/rivals.svg)"
        report.write_between(README, "rivals", f"{picture}\n\n{words}")
        print(f"{README}, {HERE}/rivals.svg")


def main():
    args = options()
    if args.source:
        return publish(args, json.loads(pathlib.Path(args.source).read_text()))
    if args.quick:
        args.rounds, args.seconds, args.latency_rounds, args.latency_seconds = 1, 1, 1, 1
    by_key = {scene.key: scene for scene in scenes.scenes()}
    kinds, skipped = equipped(args)
    asked = [by_key[key] for key in chosen(args.scenes, by_key)]
    if not tools.find("h2load"):
        asked = [scene for scene in asked if scene.generator != "h2load"]
    return publish(args, measure(args, kinds, asked, skipped))


if __name__ == "__main__":
    main()
