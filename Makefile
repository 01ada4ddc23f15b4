# hubloop: `make run` tries it, `make test` tests it, `make help` lists the rest.
# Both install what is missing from Debian's packages first.

CC      ?= gcc
BUILD   ?= build
PREFIX  ?= /usr/local
VERSION := 0.1.0

PKGS      := lua5.4 libuv libcurl libcjson libmicrohttpd libpq sqlite3 libcrypto
WARN      := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wvla
OPT       ?= -O2 -g
HL_CFLAGS  = -std=c11 -D_GNU_SOURCE -DHL_VERSION='"$(VERSION)"' $(WARN) $(OPT) $(SAN) $(if $(CI),-Werror) \
             -fno-common -fstack-protector-strong -Isrc -Iinclude -include src/base/banned.h \
             $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
HL_LDFLAGS = $(SAN) $(LDFLAGS)
# libcurl, libmicrohttpd and libpq are loaded when first needed: see src/net/library.c.
HL_LIBS    = $(shell pkg-config --libs $(filter-out libcurl libmicrohttpd libpq,$(PKGS)) 2>/dev/null) -lpthread -lm -ldl

LIB_SRC := $(filter-out src/main.c,$(wildcard src/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(BUILD)/stdlib.o
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.c))
FUZZ    := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz_%,$(filter-out %/driver.c,$(wildcard tests/fuzz/*.c)))
# What travels inside the binary: stdlib under its names below it, scripts as they are; sorted by those names.
EMBED   := $(shell { find stdlib -type f \( -name '*.lua' -o -name '*.md' -o -name '*.html' -o -name '*.json' \) ! -name '*_test.lua'; \
             find scripts -name '*.lua' -o -name '*.csv'; } | sed 's,^stdlib/,,' | LC_ALL=C sort | sed '/^scripts\//!s,^,stdlib/,')

.DEFAULT_GOAL := all
.PHONY: all run test unit unit-programs lua-test tables lint asan tsan valgrind fuzz fault soak fidelity bench install clean help

all: $(BUILD)/hubloop $(BUILD)/libhubloop.a

$(BUILD)/hubloop: $(BUILD)/src/main.o $(BUILD)/libhubloop.a
	@echo "  LD   $@"; $(CC) $(HL_LDFLAGS) -o $@ $< $(BUILD)/libhubloop.a $(HL_LIBS)

$(BUILD)/libhubloop.a: $(LIB_OBJ)
	@echo "  AR   $@"; rm -f $@; ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"; $(CC) $(HL_CFLAGS) -MMD -MP -c -o $@ $<

# stdlib and help travel inside the binary: one table of names and bytes.
$(BUILD)/stdlib.S: $(EMBED) tests/embed.sh Makefile
	@mkdir -p $(@D)
	@echo "  GEN  $@"; sh tests/embed.sh $(EMBED) > $@
$(BUILD)/stdlib.o: $(BUILD)/stdlib.S
	@$(CC) -c -o $@ $<

# Compiled apart from linking, so that a change of the library costs a link only.
$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/libhubloop.a
	@echo "  LD   $@"; $(CC) $(HL_LDFLAGS) -o $@ $< $(BUILD)/libhubloop.a $(HL_LIBS) $(shell pkg-config --libs cmocka)

$(BUILD)/tests/fuzz_%: $(BUILD)/tests/fuzz/%.o tests/fuzz/driver.c $(BUILD)/libhubloop.a
	@echo "  LD   $@"; $(CC) $(HL_CFLAGS) -DHL_CORPUS='"$(CURDIR)/tests/fuzz/corpus/$*"' $(HL_LDFLAGS) -o $@ $< tests/fuzz/driver.c \
	  $(BUILD)/libhubloop.a $(HL_LIBS)

.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# The first lines of `run` and `test` install; the build itself is a second make,
# because pkg-config may only have arrived with them.
run:
	@sh tests/setup.sh build
	@$(MAKE) --no-print-directory -j2 all
	@$(BUILD)/hubloop demo

test:
	@sh tests/setup.sh test
	@$(MAKE) --no-print-directory -j2 all $(BUILD)/tests/embed unit-programs
	@BUILD=$(BUILD) sh tests/run.sh $(UNIT) $(FUZZ)

unit-programs: $(UNIT) $(FUZZ)
unit: $(UNIT) $(FUZZ)
	@sh tests/unit/run.sh $(UNIT) $(FUZZ)

lua-test: $(BUILD)/hubloop
	@$(BUILD)/hubloop test stdlib scripts

# A C program that uses include/hubloop.h only.
$(BUILD)/tests/embed: tests/integration/embed.c include/hubloop.h $(BUILD)/libhubloop.a
	@mkdir -p $(@D)
	@echo "  CC   $<"; $(CC) -std=c11 $(WARN) $(OPT) $(SAN) -Iinclude -o $@ $< $(HL_LDFLAGS) $(BUILD)/libhubloop.a $(HL_LIBS)

lint:
	@sh tests/setup.sh test
	@sh tests/lint.sh

# The tables that come from HubSpot's data (../shared/hubspot); they are committed.
tables:
	@set -e; for f in tests/generate/*.mjs; do node $$f; done

# The whole suite under the address and undefined-behaviour sanitizers.
asan:
	@$(MAKE) --no-print-directory test BUILD=build-asan OPT="-O1 -g -fno-omit-frame-pointer" \
	  SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined"

# The rooms that have threads, under the thread sanitizer.
tsan:
	@$(MAKE) --no-print-directory unit BUILD=build-tsan OPT="-O1 -g" SAN="-fsanitize=thread" \
	  UNIT="$(patsubst tests/unit/%.c,build-tsan/tests/%,$(wildcard tests/unit/loop_test.c tests/unit/store_*_test.c tests/unit/engine_*_test.c tests/unit/hubspot_calls_test.c))" FUZZ=

valgrind:
	@sh tests/setup.sh valgrind
	@$(MAKE) --no-print-directory -j2 $(UNIT)
	@HL_SLOW=1 HL_TEST_TIMEOUT=900 HL_TEST_WRAP="valgrind -q --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=9" \
	  sh tests/unit/run.sh $(UNIT)

# Coverage-guided, FUZZ_SECONDS for each target; findings stay in build-fuzz.
FUZZ_SECONDS ?= 60
fuzz:
	@sh tests/setup.sh fuzz
	@$(MAKE) --no-print-directory -j2 CC=clang BUILD=build-fuzz OPT="-O1 -g" SAN="-fsanitize=address,undefined,fuzzer-no-link" build-fuzz/libhubloop.a
	@set -e; for t in $(patsubst tests/fuzz/%.c,%,$(filter-out %/driver.c,$(wildcard tests/fuzz/*.c))); do \
	  clang $(filter-out -Werror,$(HL_CFLAGS)) -fsanitize=address,undefined,fuzzer -O1 -g -o build-fuzz/$$t tests/fuzz/$$t.c build-fuzz/libhubloop.a $(HL_LIBS); \
	  mkdir -p build-fuzz/corpus/$$t; (cd build-fuzz && ./$$t -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 corpus/$$t ../tests/fuzz/corpus/$$t); done

# All of tests/fault; make test has a sample. HL_SEED=N for other moments.
fault:
	@sh tests/setup.sh test
	@$(MAKE) --no-print-directory -j2 all
	@HUBLOOP=$(CURDIR)/$(BUILD)/hubloop BUILD=$(BUILD) HL_FAULT=full sh tests/fault/run.sh

# The shipped automations beside a simulated account that lives, refuses and fails, with kills; SOAK_SECONDS of it.
SOAK_SECONDS ?= 600
soak:
	@sh tests/setup.sh test
	@$(MAKE) --no-print-directory -j2 all
	@HUBLOOP=$(CURDIR)/$(BUILD)/hubloop HL_SOAK_SECONDS=$(SOAK_SECONDS) sh tests/integration/node.sh soak tests/fault/soak.test.mjs

# How much of HubSpot's API the simulator is, operation by operation; F="--summary" or F="--json".
fidelity:
	@sh tests/setup.sh test
	@$(MAKE) --no-print-directory -j2 all
	@HUBLOOP=$(CURDIR)/$(BUILD)/hubloop sh tests/interop/run.sh fidelity $(F)

bench:
	@sh tests/setup.sh bench
	@$(MAKE) --no-print-directory -j2 all
	@BUILD=$(BUILD) sh tests/bench/run.sh $(B)

install: all
	install -D -m 755 $(BUILD)/hubloop $(DESTDIR)$(PREFIX)/bin/hubloop
	install -D -m 644 include/hubloop.h $(DESTDIR)$(PREFIX)/include/hubloop.h
	install -D -m 644 $(BUILD)/libhubloop.a $(DESTDIR)$(PREFIX)/lib/libhubloop.a

clean:
	rm -rf build build-asan build-tsan build-fuzz

help:
	@echo "make run               install what is missing, build, and show the whole thing at work (ONCE=1: end after the summary)"
	@echo "make test              all tests; ends with a line 'N passed, N failed'"
	@echo "make                   build/hubloop and build/libhubloop.a"
	@echo "make lint              the house rules"
	@echo "make asan              all tests under the address and undefined-behaviour sanitizers"
	@echo "make tsan              the store, the engine, the call log and the loop under the thread sanitizer"
	@echo "make valgrind          the unit tests under valgrind"
	@echo "make fuzz              coverage-guided fuzzing of every parser, FUZZ_SECONDS=60 each"
	@echo "make fault             200 kills, full disks, a clock that steps, HubSpot down for a day (HL_SEED=N)"
	@echo "make soak              the shipped automations under load, trouble and kills for SOAK_SECONDS=600"
	@echo "make fidelity          every operation of HubSpot's OpenAPI documents called at the simulator: which are real (F=--summary, F=--json)"
	@echo "make unit | lua-test   some of the tests"
	@echo "make tables            the generated tables again, from HubSpot's data in ../shared"
	@echo "make bench [B=name]    measurements, side by side with what one would otherwise pick"
	@echo "make install           to PREFIX (default /usr/local), DESTDIR respected"
	@echo "make clean"
