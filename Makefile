# Every target is one script; each script says what it does while it does it.
.PHONY: demo test build bench bench-micro bench-environments layout soak chaos cache-conformance lint fuzz test-vm

demo: ## build, serve examples/demo, print requests to try
	@scripts/demo.sh

test: ## every test: units, end to end, conformance
	@scripts/test.sh

test-vm: ## sandbox, control groups and limits in virtual machines with Debian's kernels
	@scripts/vm.sh

build: ## the release binaries and the JavaScript snapshot
	@scripts/build.sh

bench: ## side-by-side load runs; needs wrk and nginx
	@bench/run.sh

bench-micro: ## events, results and a warm invocation, by criterion
	@bench/micro.sh

bench-environments: ## cold starts, idle memory; needs wrk and npm
	@bench/environments.sh

layout: ## which functions run for a request, for the linker; minutes
	@bench/layout.sh

soak: ## 100,000 environments made and ended; memory must stay flat
	@bench/soak.sh

chaos: ## load while environments, templates and the zygote are killed
	@bench/chaos.sh

cache-conformance: ## the public HTTP cache tests, beside other caches' results
	@scripts/cache-conformance.sh

lint: ## fmt, clippy, doc, deny
	@scripts/lint.sh

fuzz: ## every fuzz target for a minute; stable compiler
	@scripts/fuzz.sh
