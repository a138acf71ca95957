"""The rounds: interleaved, so that the machine's mood falls on all alike, and what they came to.

Decides the order, what voids a round, and when time is up. It must not know how a round is run.
"""
import statistics
import time

import load

# What oha can send in time beside the bank, on one core.
RATE_MAX = 5000


class Rounds:
    """Every round of a bench, by scene and proxy."""

    def __init__(self, loader, say, deadline):
        self.loader, self.say, self.deadline = loader, say, deadline
        self.closed, self.open, self.rates, self.void = {}, {}, {}, {}
        self.cut_short = False

    def in_time(self, seconds):
        """Whether a round of so many seconds still fits."""
        fits = time.monotonic() + seconds + 1 < self.deadline
        self.cut_short = self.cut_short or not fits
        return fits

    def saturate(self, scenes, proxies, count, seconds):
        """Rounds as fast as it goes. Round 0 warms up and does not count; one alone is cold."""
        for number in range(0 if count > 1 else 1, count + 1):
            lasts = seconds if number else 1
            for scene in scenes:
                for proxy in turned(proxies[scene.many], number):
                    if not self.in_time(lasts):
                        return self.say("time is up: the rounds end here")
                    key = (scene.key, proxy.name)
                    got = self.tried(key, lambda: self.loader.saturate(scene, proxy, lasts))
                    if got is None:
                        continue
                    self.say(f"round {number}/{count}  {scene.key:<12}{proxy.name:<9}"
                             f"{got.cpu_us:8.1f} us/request{got.rate:9.0f}/s")
                    if number:
                        got.number = number
                        self.closed.setdefault(key, []).append(got)
        return None

    def steady(self, scenes, proxies, count, seconds):
        """Rounds at one rate for all: half of what the slowest of them could do in that scene."""
        for number in range(1, count + 1):
            for scene in scenes:
                if not scene.open_loop:
                    continue
                rate = self.rate(scene, proxies[scene.many])
                for proxy in turned(proxies[scene.many], number):
                    if not rate or not self.in_time(seconds + 1):
                        continue
                    key = (scene.key, proxy.name)
                    got = self.tried(key, lambda: self.loader.steady(scene, proxy, rate, seconds))
                    if got is None:
                        continue
                    self.say(f"latency {number}/{count}  {scene.key:<12}{proxy.name:<9}"
                             f"p50 {got[0]:.2f}  p99 {got[1]:.2f}  p99.9 {got[2]:.2f} ms "
                             f"at {rate}/s")
                    self.open.setdefault(key, []).append(got)

    def rate(self, scene, proxies):
        """Calls a second at which latency is taken: below the knee of every proxy, and of oha."""
        if scene.key not in self.rates:
            found = [statistics.median(got.rate for got in self.closed[scene.key, proxy.name])
                     for proxy in proxies if (scene.key, proxy.name) in self.closed]
            half = min([each / 2 for each in found] + [RATE_MAX])
            self.rates[scene.key] = max(100, int(half // 100 * 100)) if found else None
        return self.rates[scene.key]

    def tried(self, key, work):
        """A round, once more if it is void; the reason is kept if it still is."""
        for _ in range(2):
            try:
                return work()
            except load.Void as void:
                self.say(f"void: {key[0]} {key[1]}: {void}")
                reason = str(void)
        self.void.setdefault(key, []).append(reason)
        return None

    def medians(self):
        """What the rounds came to: a dictionary by scene and proxy, with plain numbers."""
        figures = {}
        for key, got in self.closed.items():
            figures[key] = {
                "cpu_us": statistics.median(each.cpu_us for each in got),
                "user_us": statistics.median(each.user_us for each in got),
                "system_us": statistics.median(each.system_us for each in got),
                "rate": statistics.median(each.rate for each in got),
                "busy": statistics.median(each.busy for each in got),
                "resident": got[-1].resident, "rounds": len(got),
                "others": statistics.median(each.others for each in got),
            }
        for key, got in self.open.items():
            figures.setdefault(key, {})["latency_ms"] = [
                statistics.median(each[part] for each in got) for part in range(len(load.PARTS))]
        return figures

    def ratios(self, ours, theirs, scene):
        """Our CPU by theirs, round by round, sorted."""
        others = {got.number: got for got in self.closed.get((scene, theirs), [])}
        return sorted(mine.cpu_us / others[mine.number].cpu_us
                      for mine in self.closed.get((scene, ours), []) if mine.number in others)


def turned(proxies, number):
    """The proxies, another one first in each round."""
    by = number % len(proxies) if proxies else 0
    return proxies[by:] + proxies[:by]
