# make test is what CI runs: everything that must hold, within 20 minutes on two
# cores. The other test targets run the same tests for longer.

SHELL := /bin/bash

.PHONY: help test quick fmt api crash soak timing fuzz bench versions

help:
	@echo 'make test     format, tidy, exported API, vet, staticcheck and go test -race for every module'
	@echo 'make quick    the root module alone, without -race'
	@echo 'make fmt      gofmt -w on every Go file'
	@echo 'make api      writes the exported API to api/*.txt, with which make test compares it'
	@echo 'make crash    kills of a server process (200 on SQLite, 100 each on PostgreSQL and MariaDB) and of database servers'
	@echo 'make soak     30 minutes of mixed load (SOAK=30m)'
	@echo 'make timing   25 minutes of refused sign-ins on each kind of store: whether their times tell who exists'
	@echo 'make fuzz     every fuzz target for a minute (FUZZTIME=1m)'
	@echo 'make bench    the benchmarks, as ratios (COUNT=1)'
	@echo 'make versions the tests of PostgreSQL on 12 and 18, which npm packages carry'

test:
	@tools/test

quick:
	go test ./...

fmt:
	@tools/files '*.go' | xargs -r gofmt -l -w

api:
	@tools/api -w

crash:
	@tools/long crash

soak:
	@tools/long soak

timing:
	@tools/long timing

fuzz:
	@tools/long fuzz

bench:
	@tools/long bench

versions:
	@tools/long versions
