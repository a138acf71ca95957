# The commands that README names. Everything is built by cargo; this file only sees to what cargo
# can't: a C compiler and cmake, which the TLS and compression libraries are built with.

.PHONY: demo demo-stay test storm hang lint bench bench-rivals bench-scale
.PHONY: idle soak names schemathesis fuzz seeds tools pgo
CARGO ?= cargo

# The story: two simulated banks, the gateway, a client; ends with 0 if all went as expected.
demo: tools
	$(CARGO) run --quiet --locked -- demo --once

# The same, then stays up and prints curl commands to try. Ctrl-C ends it.
demo-stay: tools
	$(CARGO) run --quiet --locked -- demo

test: tools
	$(CARGO) test --locked

# Reloads, rotations, upgrades and a drain under load; prints what became of each call. Minutes;
# STORM_CALLS=8000 makes it a million calls.
storm: tools
	$(CARGO) test --locked --test it -- --exact --ignored --nocapture storm::a_long_storm_loses_nothing

lint: tools
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) check --locked --no-default-features
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --config .deny.toml check; \
	else echo "cargo-deny is not installed: licences and advisories were not checked"; fi

# Times of the pure core; with valgrind, also its instruction counts, which do not depend on the
# machine's mood.
bench: tools
	$(CARGO) bench --locked --no-default-features --bench core
	benches/instructions.sh

# corgate beside HAProxy, nginx and Envoy, all with the whole contract: see README. Installs what is
# missing where that asks nobody. ARGS="--quick", "--scenes=tls,h2", "--proxies=corgate,haproxy",
# "--readme", and what else benches/rivals/run.py --help says.
bench-rivals: tools
	$(CARGO) build --locked --release
	python3 benches/rivals/run.py --install $(ARGS)

# corgate alone, by targets, clients and connections: see README.
bench-scale: tools
	$(CARGO) build --locked --release
	python3 benches/rivals/scale.py --install $(ARGS)

# The release build, arranged by a profile: target/pgo/corgate. See README, Measured.
pgo: tools
	benches/pgo.sh

# p99 of nine banks while the tenth hangs, beside the same without: interleaved rounds, the median.
hang: tools
	$(CARGO) test --locked --test it -- --ignored --exact --nocapture hang::measured_beside_a_bank_that_hangs

# The long runs; each ends by itself and says what it measured. Not part of `make test`.
idle: tools
	$(CARGO) build --locked --release
	python3 benches/long/run.py idle

soak: tools
	$(CARGO) build --locked --release
	python3 benches/long/run.py soak

names: tools
	$(CARGO) build --locked --release
	python3 benches/long/run.py names

# Calls made up from the five contracts, against the demo's gateway. Minutes. Needs schemathesis.
schemathesis: tools
	$(CARGO) build --locked
	tests/schemathesis.sh

# Every fuzz target, each for FUZZ_SECONDS. Needs cargo-fuzz and a nightly toolchain. A target whose
# memory grows beyond what any input here may take is a finding. Without a sanitizer nobody counts
# single allocations (malloc_limit_mb), so over the seeds the system refuses large ones (ulimit -v).
FUZZ_SECONDS ?= 60
FUZZ_LIMITS = -rss_limit_mb=512 -malloc_limit_mb=64
FUZZ_ADDRESS_SPACE_KB = 2097152
fuzz:
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz"; exit 1; }
	cd tests/fuzz && for target in $$(ls seeds); do mkdir -p corpus/$$target; \
	  $(CARGO) +nightly fuzz run --fuzz-dir . --sanitizer none $$target corpus/$$target \
	    seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) $(FUZZ_LIMITS) || exit 1; done

# Builds every fuzz target and runs it once over its seeds: no fuzzing, but they compile and their
# promises hold. The stable toolchain is enough; the fuzzer's library is C++.
seeds: tools
	@if command -v $${CXX:-c++} >/dev/null; then \
	  cd tests/fuzz && $(CARGO) build --locked --bins && for target in $$(ls seeds); do \
	    said=$$(ulimit -v $(FUZZ_ADDRESS_SPACE_KB); target/debug/$$target $(FUZZ_LIMITS) \
	      seeds/$$target/* 2>&1) || { echo "$$said"; exit 1; }; \
	  done && echo "the seeds of $$(ls seeds | wc -l) fuzz targets hold"; \
	else echo "no C++ compiler: the fuzz targets were not built"; fi

tools:
	@missing=""; \
	command -v cc >/dev/null || missing="$$missing gcc"; \
	command -v cmake >/dev/null || missing="$$missing cmake"; \
	if [ -n "$$missing" ]; then \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq $$missing libc6-dev; \
	  elif command -v apt-get >/dev/null && command -v sudo >/dev/null && sudo -n true 2>/dev/null; then \
	    sudo apt-get update -qq && sudo apt-get install -y -qq $$missing libc6-dev; \
	  else \
	    echo "corgate needs$$missing to build. On Debian: sudo apt-get install$$missing libc6-dev"; exit 1; \
	  fi; \
	fi
