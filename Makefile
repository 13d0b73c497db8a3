# Every target is one script; each script says what it does while it does it.
.PHONY: demo test build bench lint clean

demo: ## build, serve examples/demo, print requests to try
	@scripts/demo.sh

test: ## every test: units, end to end, conformance
	@scripts/test.sh

build: ## the release binaries and the JavaScript snapshot
	@scripts/build.sh

bench: ## side-by-side load runs; needs wrk and nginx
	@bench/run.sh

lint: ## fmt, clippy, doc, deny
	@scripts/lint.sh
