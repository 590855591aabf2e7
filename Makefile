# What people run in this repository. `make help` lists it.

CARGO ?= cargo
export CARGO

.PHONY: help demo test lint bench interop fuzz mutants soak corpus exploration docs-commands attacks bench-growth

help: ## Show this list
	@echo "make TARGET, where TARGET is one of:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  \1|/' | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

demo: ## Start a server, 50 simulated agents, an opamp-agent and a real collector; Ctrl-C stops all of it
	@scripts/demo

test: ## Run every test on SQLite, then on PostgreSQL where it is installed (REQUIRE_ALL=1: or fail)
	@scripts/test

lint: ## Formatting, clippy with warnings as errors, crate edges, conformance page, documentation build
	@scripts/lint

bench: ## Measure the budgets: 15,000 agents, plain and TLS, release build (about 45 minutes)
	@scripts/bench

attacks: ## Attack a server with 2,000 agents in every way that has a bound, release build (about 10 minutes)
	@scripts/attacks

bench-growth: ## Measure how cost grows: start-up, heartbeats, 100 configs, 1,000 to 19,000 agents (about 25 minutes)
	@scripts/bench growth

interop: ## Run the cases against peers that others wrote (builds a real collector; needs Go and Node.js)
	@scripts/interop

fuzz: ## Fuzz everything that parses bytes from a peer (SECONDS_EACH=60 a target; installs cargo-fuzz; docs/fuzzing.md)
	@scripts/fuzz

corpus: ## Put every kind of fault into every configuration of the corpus, the real collector as the judge (docs/findings/recall.md; minutes)
	@interop/collector/build.sh >/dev/null
	@JUDGE_ALL=1 REQUIRE_ALL=1 $(CARGO) test -p otelcol --test it -- corpus:: examples:: faults:: pages:: --nocapture

soak: ## Run server and agents on a simulated clock and network, SEEDS=0..20000 (a range of seeds, about 25 minutes)
	@SEEDS=$${SEEDS:-0..20000} scripts/simulation

exploration: ## Visit every state of a rollout over 5 agents and 3 stages with MISHAPS=2 mishaps (about 5 minutes); `scripts/exploration bugs` puts bugs in
	@scripts/exploration

mutants: ## Change the session's code one place at a time and list what no test notices (hours; installs cargo-mutants)
	@scripts/mutants

docs-commands: ## Run the commands that README.md and the pages quickstart, plans, templates, secrets, delta, http, import, git and check-configs of docs/ show, and compare what they print
	@test ! -e data/demo || { echo "remove data/demo first: the commands expect a new demo"; exit 1; }
	@$(CARGO) xtask doc-commands
