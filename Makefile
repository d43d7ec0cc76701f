# Every target does its own set-up, and nothing where that is done already.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# How the product ships: static, without symbols, the same bytes from the same commit everywhere.
BUILD := CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags "-s -w"
GOTOOL := go tool -modfile=tools/go.mod

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## serve on 127.0.0.1:7071, rows in .twofa/, messages on the console (needs Go alone)
	@$(BUILD) -o bin/twofa .
	@exec bin/twofa

.PHONY: demo
demo: ## twofa, the example bank and, if there is Node, Acme Notes; messages with codes in this terminal. With ACCOUNT=+..., an intranet behind oauth2-proxy as well
	@go build -o bin/demo ./examples/demo
	@[ -z '$(ACCOUNT)' ] || $(MAKE) -s bin/oauth2-proxy || \
	  { echo "make demo ACCOUNT=... needs oauth2-proxy, which is not there and cannot be built. Without ACCOUNT, the demo does not need it."; exit 1; }
	@exec bin/demo -account '$(ACCOUNT)'

.PHONY: test
test: tools ## all tests, with the race detector, in random order
	go test -race -shuffle=on -timeout 10m -p 3 $$(go list ./... | grep -v /e2e$$)  # more packages than cores: many wait for time limits
	go test -race -shuffle=on -timeout 10m ./e2e  # by itself: real processes against real time limits
	go test -shuffle=on ./internal/otp ./internal/phone  # in full what the race detector makes too slow: a million codes, every number

.PHONY: lint
lint: ## gofmt, vet, staticcheck, errcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	  if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	go vet ./...
	go -C tools vet ./...
	$(GOTOOL) staticcheck ./...
	go -C tools tool staticcheck ./...
	$(GOTOOL) errcheck -ignoretests -exclude tools/errcheck.txt ./...
	go mod verify > /dev/null
	go mod tidy -diff

.PHONY: bench
bench: ## measure; prints a report (see docs/performance.md)
	go run ./bench

FUZZTIME ?= 5m
.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME (default 5m) each
	@for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

.PHONY: spa
spa: examples/spa/dist/index.html ## the page of the example Acme Notes, in examples/spa/dist (needs Node 20)

examples/spa/dist/index.html: examples/spa/node_modules/.package-lock.json $(shell find examples/spa/src examples/spa/public -type f) $(addprefix examples/spa/,index.html package.json tsconfig.json vite.config.ts)
	@npm --prefix examples/spa run --silent build -- --logLevel warn
	@touch $@

.PHONY: tools
tools: tools/node_modules/.package-lock.json examples/spa/node_modules/.package-lock.json bin/oauth2-proxy ## what the tests need: a C compiler, Azurite, chromium, readers of codes, QR codes and receipts, judges of requests, apps to sign in to
	@go -C tools mod download
	@missing=; \
	  command -v cc > /dev/null || missing="$$missing gcc libc6-dev"; \
	  command -v oathtool > /dev/null || missing="$$missing oathtool"; \
	  command -v zbarimg > /dev/null || missing="$$missing zbar-tools"; \
	  /usr/bin/python3 -c 'import jwt, cryptography' 2> /dev/null || missing="$$missing python3-jwt python3-cryptography"; \
	  /usr/bin/python3 -c 'import pyotp' 2> /dev/null || missing="$$missing python3-pyotp"; \
	  command -v rsvg-convert > /dev/null || missing="$$missing librsvg2-bin"; \
	  command -v chromium > /dev/null || missing="$$missing chromium"; \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  [ -z "$$missing" ] || { $$sudo apt-get -qq update && $$sudo apt-get -qq install -y --no-install-recommends $$missing; } > /dev/null

%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@npm --prefix $* ci --silent --no-audit --no-fund
	@touch $@

# A relying party that the tests sign in to.
bin/oauth2-proxy: tools/go.mod tools/go.sum
	@CGO_ENABLED=0 go -C tools build -trimpath -ldflags "-s -w" -o ../$@ github.com/oauth2-proxy/oauth2-proxy/v7
	@touch $@

.PHONY: package
package: ## dist/twofa.zip, which publishing would send: static linux/amd64
	GOOS=linux GOARCH=amd64 $(BUILD) -o dist/twofa .
	go run ./internal/pack -root . -binary dist/twofa -out dist/twofa.zip

.PHONY: start
start: ## func start: the service under Azure Functions Core Tools
	@command -v func > /dev/null || { echo "make start needs Azure Functions Core Tools (func); make run does without."; exit 1; }
	@[ -f local.settings.json ] || { echo "Copy local.settings.json.example to local.settings.json and set TWOFA_SECRET first."; exit 1; }
	$(BUILD) -o twofa .
	func start
