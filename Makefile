# hubloop: `make run` tries it, `make test` tests it, `make help` lists the rest.
# Both install what is missing from Debian's packages first.

CC      ?= gcc
BUILD   ?= build
PREFIX  ?= /usr/local
VERSION := 0.1.0

PKGS      := lua5.4 libuv libcurl libcjson libmicrohttpd sqlite3 libcrypto
WARN      := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wvla
OPT       ?= -O2 -g
HL_CFLAGS  = -std=c11 -D_GNU_SOURCE -DHL_VERSION='"$(VERSION)"' $(WARN) $(OPT) $(SAN) $(if $(CI),-Werror) \
             -fno-common -fstack-protector-strong -Isrc -Iinclude -include src/base/banned.h \
             $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
HL_LDFLAGS = $(SAN) $(LDFLAGS)
HL_LIBS    = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lpthread -lm -ldl

LIB_SRC := $(filter-out src/main.c,$(wildcard src/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(BUILD)/stdlib.o
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.c))
STDLIB  := $(shell find stdlib -type f \( -name '*.lua' -o -name '*.md' -o -name '*.html' -o -name '*.json' \) ! -name '*_test.lua' | LC_ALL=C sort)

.DEFAULT_GOAL := all
.PHONY: all setup run test unit lua-test integration interop lint asan valgrind fuzz bench format install clean help

all: $(BUILD)/hubloop $(BUILD)/libhubloop.a

$(BUILD)/hubloop: $(BUILD)/src/main.o $(BUILD)/libhubloop.a
	$(CC) $(HL_LDFLAGS) -o $@ $< $(BUILD)/libhubloop.a $(HL_LIBS)

$(BUILD)/libhubloop.a: $(LIB_OBJ)
	rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"; $(CC) $(HL_CFLAGS) -MMD -MP -c -o $@ $<

# stdlib and help travel inside the binary: one table of names and bytes.
$(BUILD)/stdlib.S: $(STDLIB) tests/embed.sh
	@mkdir -p $(@D)
	sh tests/embed.sh $(STDLIB) > $@
$(BUILD)/stdlib.o: $(BUILD)/stdlib.S
	$(CC) -c -o $@ $<

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libhubloop.a
	@mkdir -p $(@D)
	@echo "  CC   $<"; $(CC) $(HL_CFLAGS) $(shell pkg-config --cflags cmocka) -MMD -MP -o $@ $< $(HL_LDFLAGS) \
	  $(BUILD)/libhubloop.a $(HL_LIBS) $(shell pkg-config --libs cmocka)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

unit: $(UNIT)
	@sh tests/unit/run.sh $(UNIT)

clean:
	rm -rf $(BUILD)

help:
	@echo "make run | test | lint | asan | valgrind | bench [B=name] | install | clean"
